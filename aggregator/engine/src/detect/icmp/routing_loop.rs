//! `routing-loop`: packets go around until they have passed too many hops. Must not hold for what traces a route by that very
//! error.

use super::super::claim::{Claim, cited};
use super::super::{Detector, Verdict};
use super::loudest;
use crate::correlate::case::Case;
use crate::correlate::workload::Domain;
use crate::explain::quote::clean;
use crate::model::signal::IcmpError;
use crate::rank::Strength;

/// Finds packets that go around.
pub(in super::super) struct RoutingLoop;

impl Detector for RoutingLoop {
    fn cause(&self) -> &'static str {
        "routing-loop"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let Some(complaint) = loudest(case, is_out_of_hops) else {
            return Verdict::Silent;
        };
        let (who, to) = (case.subject(), complaint.destination());
        let reporter = clean(complaint.reporter);
        let strength = Strength {
            prior: 0.9,
            specificity: 0.9,
            directness: 0.9,
        };
        Claim {
            signs: cited(case, &complaint.windows).iter().map(|window| complaint.fact(case, *window)).collect(),
            until: complaint.windows.last().map(|window| window.at).unwrap_or_default(),
            what: format!("packets to {to} ran out of hops at {reporter}"),
            headline: format!("packets of {who} to {to} go around in circles"),
            explanation: format!(
                "They had passed as many hops as a packet may when they came to {reporter}. No way is that long: most likely two \
                 routers, {reporter} one of them, each take the other for the way there."
            ),
            impact: format!("nothing that {who} sends to {to} arrives"),
            remediation: vec![
                "see where it goes around: traceroute to the destination shows the same hops again and again".to_owned(),
                format!("see the route of {reporter} to it; on nodes: ip route get, and those of the other node"),
                "a program that sets its own small hop limit (IP_TTL) meets the same error".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

/// Echo requests are what most tracers send.
fn is_out_of_hops(error: &IcmpError) -> bool {
    let kind = if error.ip_version == 6 { 3 } else { 11 };
    (error.kind, error.code) == (kind, 0) && !error.protocol.starts_with("icmp")
}

#[cfg(test)]
mod tests {
    use crate::model::signal::IcmpError;
    use crate::model::{Severity, Signal};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::icmp_error;

    const SCENARIO: Scenario = Scenario {
        cause: "routing-loop",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn out_of_hops(count: u64) -> IcmpError {
        icmp_error(11, 0, "time exceeded: too many hops", count)
    }

    fn window(id: &str, ms: i64, errors: Vec<IcmpError>) -> Signal {
        Actor::new("shop", 40).icmp(id, ms, errors)
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            window(&format!("w-{round}-1"), ms + 1000, vec![out_of_hops(8)]),
            window(&format!("w-{round}-2"), ms + 3000, vec![out_of_hops(8)]),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let hop = |hop: u32| IcmpError {
            reporter: format!("10.0.{hop}.1"),
            ..out_of_hops(3)
        };
        let pinged = || IcmpError {
            protocol: "icmp".to_owned(),
            ..out_of_hops(20)
        };
        vec![
            (
                "a traced route",
                vec![
                    window("v", 1000, (1..9).map(hop).collect()),
                    window("w", 2000, (9..20).map(hop).collect()),
                ],
            ),
            (
                "a tracer that goes on",
                vec![
                    window("v", 1000, vec![pinged()]),
                    window("w", 2000, vec![pinged()]),
                ],
            ),
        ]
    }

    stands!(SCENARIO);
}
