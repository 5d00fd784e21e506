//! `network-policy-drop`: a firewall or policy rule of this node drops the packets of a workload. Must not
//! hold for what is dropped now and then, as every firewall does.

use std::time::Duration;

use super::claim::{Claim, cited};
use super::dropped::{self, Dropped};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::workload::{Domain, Workload};
use crate::explain::address::socket;
use crate::explain::facts::Fact;
use crate::explain::quote::clean;
use crate::model::Severity;
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// Fewer packets are a stray connection: one attempt asks four times within eight seconds.
const MIN_PACKETS: u64 = 3;

/// Packets that nobody is known to have wanted to send from here: only a stream of them is told.
const MIN_PACKETS_FROM_ELSEWHERE: u64 = 20;

/// Drops that end sooner are over before anybody could look.
const MIN_DURATION: Duration = Duration::from_secs(3);

/// Finds rules that drop.
pub(super) struct NetworkPolicyDrop;

impl Detector for NetworkPolicyDrop {
    fn cause(&self) -> &'static str {
        "network-policy-drop"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let is_state = case.death().is_none();
        // What a firewall of the whole node drops is mostly what it is there for.
        if case.workload == Workload::Node || !is_state && case.failed_main().is_none() {
            return Verdict::Silent;
        }
        let all = dropped::by_destination(case, |drop| drop.netfilter);
        let peer = all.iter().find(|dropped| dropped.is_peer(case));
        let Some(dropped) = peer.or(all.first()) else {
            return Verdict::Silent;
        };
        let is_peer = peer.is_some();
        let enough = if is_peer {
            MIN_PACKETS
        } else {
            MIN_PACKETS_FROM_ELSEWHERE
        };
        let lasts = dropped.lasts() >= MIN_DURATION;
        if dropped.packets < enough || is_state && !lasts || !is_state && !is_peer {
            return Verdict::Silent;
        }
        claim(case, dropped, is_peer)
    }
}

fn claim(case: &Case<'_>, dropped: &Dropped<'_>, is_peer: bool) -> Verdict {
    let (who, to) = (case.subject(), socket(dropped.destination));
    let protocol = clean(dropped.protocol);
    let signs: Vec<Fact> = cited(case, &dropped.windows)
        .iter()
        .map(|window| dropped.fact(case, *window))
        .collect();
    let headline = if case.death().is_some() {
        format!("{who} gave up: a rule drops its packets to {to}")
    } else if is_peer {
        format!("{who} cannot reach {to}: a rule drops its packets")
    } else {
        format!("a rule drops packets of {who} to {to}")
    };
    Claim {
        cause: "network-policy-drop",
        severity: if is_peer {
            Severity::Warning
        } else {
            Severity::Info
        },
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            specificity: if is_peer { 1.0 } else { 0.8 },
            directness: 1.0,
        },
        signs,
        until: dropped.windows.last().map(|window| window.at).unwrap_or_default(),
        is_event: false,
        what: format!("a rule dropped {protocol} packets to {to}"),
        headline,
        explanation: format!(
            "The kernel's packet filter decided it: the packets never left for {to}, or never arrived \
             there, so that the sender waits and is told nothing. Whether the service at {to} is well \
             cannot be seen from here."
        ),
        impact: format!("{who} gets no answer from {to}, and no error before its own patience ends"),
        remediation: vec![
            "find the rule by its counter, in the network namespace of the workload and in the node's: nft list ruleset, or iptables -L -v -n".to_owned(),
            "with Kubernetes: kubectl get networkpolicy -A, and see which of them select this pod and lack a rule for the destination".to_owned(),
        ],
    }
    .holds(case)
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::{database, flow};

    const SCENARIO: Scenario = Scenario {
        cause: "network-policy-drop",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let shop = Actor::new("shop", 40);
        let id = |what: &str| format!("{what}-{round}");
        vec![
            shop.flows(&id("flows"), ms + 1000, vec![flow(database(), 0, 0)]),
            shop.dropped(&id("drops-1"), ms + 2000, database(), 2),
            shop.dropped(&id("drops-2"), ms + 4000, database(), 1),
            shop.dropped(&id("drops-3"), ms + 8000, database(), 1),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let shop = Actor::new("shop", 40);
        let scan = (1..5)
            .map(|second| shop.dropped(&format!("drops-{second}"), second * 1000, database(), 1))
            .collect();
        let mut other = signals(0, 0);
        for signal in &mut other {
            if let crate::model::SignalBody::PacketDrops(drops) = &mut signal.body {
                drops.drops[0].netfilter = false;
                drops.drops[0].reason = "IP_RPFILTER".to_owned();
            }
        }
        vec![
            (
                "one packet that was dropped",
                vec![shop.dropped("drops", 1000, database(), 1)],
            ),
            ("a few that nobody here wanted to send", scan),
            ("drops that no rule decided", other),
        ]
    }

    stands!(SCENARIO);
}
