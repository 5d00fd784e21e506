//! `neighbor-unreachable`: nobody on the link answers for an address that a workload sends to. Must not hold for one that
//! was asked for once.

use std::collections::BTreeMap;

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::explain::quote::clean;
use crate::model::signal::{NeighborFailure, NeighborFailures};
use crate::rank::Strength;

/// The kernel asks for three seconds before it gives up; a host that restarts does not answer for longer than that.
const MIN_FAILURES: u64 = 3;

/// Finds addresses that nobody has.
pub(super) struct NeighborUnreachable;

/// The windows in which nobody answered for one address behind one device, since the last pause.
struct Silence<'a> {
    address: &'a str,
    interface: &'a str,
    windows: Vec<Observed<'a, NeighborFailures>>,
    failures: u64,
}

impl Detector for NeighborUnreachable {
    fn cause(&self) -> &'static str {
        "neighbor-unreachable"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let silences = by_address(case).into_iter();
        let lasting = silences.filter(|silence| silence.failures >= MIN_FAILURES);
        match lasting.max_by_key(|silence| silence.failures) {
            Some(silence) => silence.claim(case),
            None => Verdict::Silent,
        }
    }
}

fn by_address<'a>(case: &Case<'a>) -> Vec<Silence<'a>> {
    let mut windows: BTreeMap<(&str, &str), Vec<Observed<'a, NeighborFailures>>> = BTreeMap::new();
    for observed in case.troubles.of::<NeighborFailures>() {
        for failure in &observed.record.failures {
            let key = (failure.address.as_str(), failure.interface.as_str());
            windows.entry(key).or_default().push(observed);
        }
    }
    let silences = windows.into_iter().map(|((address, interface), windows)| {
        let mut silence = Silence {
            address,
            interface,
            windows: last_spell(&windows).to_vec(),
            failures: 0,
        };
        let windows = silence.windows.iter();
        silence.failures = windows
            .map(|window| silence.failures_in(window.record))
            .sum();
        silence
    });
    silences.collect()
}

impl Silence<'_> {
    fn failures_in(&self, window: &NeighborFailures) -> u64 {
        let is_it = |failure: &&NeighborFailure| {
            failure.address == self.address && failure.interface == self.interface
        };
        let failures = window.failures.iter().filter(is_it);
        failures.map(|failure| failure.count).sum()
    }

    fn claim(&self, case: &Case<'_>) -> Verdict {
        let who = case.subject();
        let (address, interface) = (clean(self.address), clean(self.interface));
        let strength = Strength {
            prior: 0.95,
            specificity: 0.95,
            directness: 1.0,
        };
        Claim {
            signs: cited(case, &self.windows).iter().map(|window| self.fact(case, *window)).collect(),
            until: self.windows.last().map(|window| window.at).unwrap_or_default(),
            what: format!("nobody on {interface} answered for {address}"),
            headline: format!("nobody answers for {address}, which {who} sends to"),
            explanation: format!(
                "{address} should be on the link behind {interface}, so the kernel asks there who has it (ARP, or neighbor \
                 discovery of IPv6). It was given up {} in a row, and what waited for it was dropped.",
                count(self.failures, "time")
            ),
            impact: format!("whatever {who} sends to {address}, or by way of it, does not leave the node"),
            remediation: vec![
                format!("see whether {address} is a gateway: ip route; then everything behind it is out of reach"),
                "see whether the host with that address is gone, or its pod was moved and its old address is still used".to_owned(),
                format!("look on the link itself: ip neighbor show dev {interface}, tcpdump -i {interface} arp"),
            ],
            ..Claim::of(case, "neighbor-unreachable", strength)
        }
        .holds(case)
    }

    fn fact(&self, case: &Case<'_>, window: Observed<'_, NeighborFailures>) -> Fact {
        let text = format!(
            "{}: nobody on {} answered for {}, {} within {}",
            case.subject(),
            clean(self.interface),
            clean(self.address),
            count(self.failures_in(window.record), "time"),
            duration(window.at.since(window.record.start))
        );
        case.sign(window, text)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{NeighborFailure, NeighborFailures};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "neighbor-unreachable",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn window(id: &str, ms: i64, address: &str) -> Signal {
        let failure = NeighborFailure {
            address: address.to_owned(),
            interface: "eth0".to_owned(),
            count: 1,
        };
        let failures = NeighborFailures {
            start: at_ms(ms - 1000),
            netns: 7,
            failures: vec![failure],
        };
        Actor::new("shop", 40).signal(id, at_ms(ms), SignalBody::NeighborFailures(failures))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let window = |number: i64| {
            window(
                &format!("w-{round}-{number}"),
                ms + number * 4000,
                "10.0.0.254",
            )
        };
        vec![window(1), window(2), window(3)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let others = ["10.0.0.2", "10.0.0.3", "10.0.0.4"];
        let scan = (1..)
            .zip(others)
            .map(|(number, address)| window(&format!("w-{number}"), number * 1000, address));
        vec![
            (
                "a host that restarts",
                vec![window("v", 1000, "10.0.0.2"), window("w", 5000, "10.0.0.2")],
            ),
            ("a scan of the link", scan.collect()),
        ]
    }

    stands!(SCENARIO);
}
