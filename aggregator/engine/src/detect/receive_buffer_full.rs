//! `receive-buffer-full`: a program does not read its datagrams fast enough, so that the kernel drops new ones. Must not
//! hold for a burst.

use std::collections::BTreeMap;

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::explain::address::socket;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::model::signal::{SocketAddress, SocketDrops};
use crate::rank::Strength;

/// A second of them is a burst; one that goes on is a program that falls behind.
const MIN_WINDOWS: usize = 2;

/// Senders of datagrams reckon with some loss.
const MIN_DATAGRAMS: u64 = 100;

/// Finds programs that fall behind their datagrams.
pub(super) struct ReceiveBufferFull;

impl Detector for ReceiveBufferFull {
    fn cause(&self) -> &'static str {
        "receive-buffer-full"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let mut sockets: BTreeMap<&SocketAddress, Vec<Observed<'_, SocketDrops>>> = BTreeMap::new();
        for window in case.troubles.of::<SocketDrops>() {
            sockets
                .entry(&window.record.local)
                .or_default()
                .push(window);
        }
        let spells = sockets.values().map(|windows| last_spell(windows));
        let lossy = spells
            .filter(|windows| windows.len() >= MIN_WINDOWS && datagrams(windows) >= MIN_DATAGRAMS);
        match lossy.max_by_key(|windows| datagrams(windows)) {
            Some(windows) => claim(case, windows),
            None => Verdict::Silent,
        }
    }
}

fn datagrams(windows: &[Observed<'_, SocketDrops>]) -> u64 {
    windows.iter().map(|window| window.record.count).sum()
}

fn claim(case: &Case<'_>, windows: &[Observed<'_, SocketDrops>]) -> Verdict {
    let (Some(first), Some(newest)) = (windows.first(), windows.last()) else {
        return Verdict::Silent;
    };
    let who = case.subject();
    let socket = socket(&first.record.local);
    let lost = count(datagrams(windows), "datagram");
    let strength = Strength {
        prior: 0.95,
        specificity: 1.0,
        directness: 1.0,
    };
    Claim {
        signs: cited(case, windows).iter().map(|window| fact(case, *window)).collect(),
        until: newest.at,
        what: format!("the receive buffer of {socket} was full"),
        headline: format!("{who} does not read its datagrams at {socket}: the receive buffer is full"),
        explanation: format!(
            "The kernel keeps the datagrams that arrive until the program reads them; with the buffer full it drops \
             the next ones, and no sender is told. So {lost} were lost."
        ),
        impact: format!("whoever sends to {socket} gets no answer for what was lost, though it listens"),
        remediation: vec![
            format!("see what {who} does instead of reading: its threads, its locks, its CPU limit"),
            "watch the socket: ss -lun shows what waits as Recv-Q, and ss -lunm what was dropped".to_owned(),
            "for bursts only: raise SO_RCVBUF of the socket, and net.core.rmem_max, which bounds it".to_owned(),
        ],
        ..Claim::of(case, "receive-buffer-full", strength)
    }
    .holds(case)
}

fn fact(case: &Case<'_>, window: Observed<'_, SocketDrops>) -> Fact {
    let text = format!(
        "{}: {} found the receive buffer of {} full within {}",
        case.subject(),
        count(window.record.count, "datagram"),
        socket(&window.record.local),
        duration(window.at.since(window.record.start))
    );
    case.sign(window, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::SocketDrops;
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::address;
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "receive-buffer-full",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn window(id: &str, ms: i64, port: u32, count: u64) -> Signal {
        let drops = SocketDrops {
            start: at_ms(ms - 1000),
            netns: 7,
            local: address("10.0.0.1", port),
            count,
        };
        Actor::new("shop", 40).signal(id, at_ms(ms), SignalBody::SocketDrops(drops))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            window(&format!("w-{round}-1"), ms + 1000, 8125, 90),
            window(&format!("w-{round}-2"), ms + 2000, 8125, 60),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![
            ("a burst", vec![window("w", 1000, 8125, 5000)]),
            (
                "a little here and there",
                vec![window("v", 1000, 8125, 60), window("w", 2000, 9125, 60)],
            ),
        ]
    }

    stands!(SCENARIO);
}
