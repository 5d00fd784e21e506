//! `reverse-path-filter-drop`: the kernel drops packets that come in by another interface than answers would
//! go out. Must not hold for a rule, which drops the same packets for another reason.

use std::time::Duration;

use super::claim::{Claim, cited};
use super::dropped;
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::workload::Domain;
use crate::explain::address::socket;
use crate::explain::facts::Fact;
use crate::rank::Strength;

/// As the kernel names it.
const REASON: &str = "IP_RPFILTER";

/// Stray packets of spoofers come one by one.
const MIN_PACKETS: u64 = 5;

/// A route that changes drops for a moment.
const MIN_DURATION: Duration = Duration::from_secs(5);

/// Finds asymmetric routes that are filtered.
pub(super) struct ReversePathFilterDrop;

impl Detector for ReversePathFilterDrop {
    fn cause(&self) -> &'static str {
        "reverse-path-filter-drop"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = dropped::by_destination(case, |drop| drop.reason == REASON);
        let Some(dropped) = all.first() else {
            return Verdict::Silent;
        };
        if dropped.packets < MIN_PACKETS || dropped.lasts() < MIN_DURATION {
            return Verdict::Silent;
        }
        let who = case.subject();
        let to = socket(dropped.destination);
        let windows = cited(case, &dropped.windows);
        let signs: Vec<Fact> = windows
            .iter()
            .map(|window| dropped.fact(case, *window))
            .collect();
        let strength = Strength {
            prior: 0.95,
            specificity: 1.0,
            directness: 1.0,
        };
        Claim {
            signs,
            until: dropped.windows.last().map(|window| window.at).unwrap_or_default(),
            what: format!("the reverse path filter dropped packets to {to}"),
            headline: format!("{who} does not get what is sent to {to}: it comes in by an unexpected interface"),
            explanation: "The kernel's reverse path filter (rp_filter) drops packets whose answer would leave by \
                          another interface than they came in by: the route there and the route back differ."
                .to_owned(),
            impact: format!("connections to {to} time out from wherever takes that way"),
            remediation: vec![
                "compare the two ways: ip route get with the packet's source, against the interface it came in by".to_owned(),
                "repair the route, or set net.ipv4.conf.IFACE.rp_filter to 2 (loose)".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::database;

    const SCENARIO: Scenario = Scenario {
        cause: "reverse-path-filter-drop",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn dropped(id: &str, ms: i64, packets: u64) -> Signal {
        let mut signal = Actor::new("shop", 40).dropped(id, ms, database(), packets);
        if let SignalBody::PacketDrops(drops) = &mut signal.body {
            drops.drops[0].netfilter = false;
            drops.drops[0].reason = super::REASON.to_owned();
        }
        signal
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            dropped(&format!("drops-{round}-1"), ms, 3),
            dropped(&format!("drops-{round}-2"), ms + 8000, 3),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let by_rule = (0..9).map(|second| {
            Actor::new("shop", 40).dropped(&format!("d-{second}"), second * 1000, database(), 9)
        });
        vec![
            ("a stray packet", vec![dropped("d", 0, 1)]),
            ("what a rule drops", by_rule.collect()),
        ]
    }

    stands!(SCENARIO);
}
