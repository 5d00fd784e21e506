//! `accept-queue-full`: a server does not accept its connections fast enough, so that the kernel turns away
//! new ones. Must not hold for a burst that was worked off.

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::{Domain, Workload, label};
use crate::explain::address::socket;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::model::Severity;
use crate::model::signal::{FullListener, ListenOverflow};
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// Fewer connections that found no room are a burst: one client asks four times within eight seconds.
const MIN_OVERFLOWS: u64 = 4;

/// Without a socket that was seen full the queue was worked off at once: then many must have suffered.
const MIN_UNNAMED_OVERFLOWS: u64 = 50;

/// Finds servers that do not accept.
pub(super) struct AcceptQueueFull;

impl Detector for AcceptQueueFull {
    fn cause(&self) -> &'static str {
        "accept-queue-full"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let windows = case.troubles.of::<ListenOverflow>();
        let windows = last_spell(&windows);
        let overflows: u64 = windows.iter().map(|window| window.record.overflows).sum();
        let listener = windows.iter().find_map(|window| fullest(window.record));
        let enough = match listener {
            Some(_) => MIN_OVERFLOWS,
            None => MIN_UNNAMED_OVERFLOWS,
        };
        // The node's own counters say nothing about whose socket it was.
        let unnamed_node = listener.is_none() && case.workload == Workload::Node;
        if overflows < enough || unnamed_node {
            return Verdict::Silent;
        }
        claim(case, windows, listener)
    }
}

fn claim(
    case: &Case<'_>,
    windows: &[Observed<'_, ListenOverflow>],
    listener: Option<&FullListener>,
) -> Verdict {
    let who = case.subject();
    let socket = listener.map_or("one of its sockets".to_owned(), |listener| {
        socket(&listener.local)
    });
    let owner = listener
        .and_then(|listener| listener.owner.as_ref())
        .map(label);
    let owner = owner.unwrap_or_else(|| who.clone());
    let room = listener.map_or(String::new(), |listener| {
        format!(
            " The queue holds {}, and its backlog is {}.",
            count(u64::from(listener.queued), "connection"),
            listener.max
        )
    });
    // With a named socket the windows that name it are the telling ones.
    let naming: Vec<_> = windows
        .iter()
        .copied()
        .filter(|window| listener.is_none() || !window.record.listeners.is_empty())
        .collect();
    Claim {
        cause: "accept-queue-full",
        severity: Severity::Warning,
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            specificity: if listener.is_some() { 1.0 } else { 0.8 },
            directness: 1.0,
        },
        signs: cited(case, &naming).iter().map(|window| fact(case, *window)).collect(),
        until: windows.last().map(|window| window.at).unwrap_or_default(),
        is_event: false,
        what: format!("the accept queue of {socket} was full"),
        headline: format!("{owner} does not accept its connections at {socket}: the queue is full"),
        explanation: format!(
            "The kernel establishes connections and queues them until {owner} accepts them; with the queue \
             full it drops the next ones without a word, and clients see timeouts, not refusals.{room}"
        ),
        impact: format!("new clients of {who} wait and time out, though it listens"),
        remediation: vec![
            format!("see what {owner} does instead of accepting: its threads, its locks, its CPU limit"),
            "watch the queue: ss -ltn shows it as Recv-Q, and its bound as Send-Q".to_owned(),
            "for bursts only: raise the backlog of listen(2) and net.core.somaxconn, the smaller counts".to_owned(),
        ],
    }
    .holds(case)
}

fn fullest(window: &ListenOverflow) -> Option<&FullListener> {
    let listeners = window.listeners.iter();
    listeners.max_by_key(|listener| (listener.queued, &listener.local))
}

fn fact(case: &Case<'_>, window: Observed<'_, ListenOverflow>) -> Fact {
    let record = window.record;
    let lost = count(record.overflows.max(record.drops), "connection");
    let span = duration(window.at.since(record.start));
    let at = fullest(record).map_or(String::new(), |listener| {
        let owner = listener.owner.as_ref();
        let owner = owner.map_or(String::new(), |owner| format!(" of {}", label(owner)));
        format!(
            " at {}{owner}, where {} wait with a backlog of {}",
            socket(&listener.local),
            listener.queued,
            listener.max
        )
    });
    let text = format!(
        "{}: {lost} found the accept queue full within {span}{at}",
        case.subject()
    );
    case.sign(window, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{FullListener, ListenOverflow};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::address;
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "accept-queue-full",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn window(id: &str, ms: i64, overflows: u64, is_named: bool) -> Signal {
        let shop = Actor::new("shop", 40);
        let listener = FullListener {
            local: address("10.0.0.1", 8080),
            queued: 2,
            max: 1,
            owner: Some(shop.process().clone()),
        };
        let overflow = ListenOverflow {
            start: at_ms(ms - 1000),
            netns: 7,
            overflows,
            drops: overflows,
            listeners: if is_named { vec![listener] } else { vec![] },
        };
        shop.signal(id, at_ms(ms), SignalBody::ListenOverflow(overflow))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            window(&format!("w-{round}-1"), ms + 1000, 2, false),
            window(&format!("w-{round}-2"), ms + 2000, 2, true),
            window(&format!("w-{round}-3"), ms + 3000, 1, true),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![
            (
                "one connection of a burst",
                vec![window("w", 1000, 1, true)],
            ),
            (
                "a burst that was worked off at once",
                vec![window("w", 1000, 20, false)],
            ),
        ]
    }

    stands!(SCENARIO);
}
