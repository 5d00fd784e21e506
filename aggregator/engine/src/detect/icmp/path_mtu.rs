//! `path-mtu-exceeded`: packets are too large for a link on their way, and go on being so. Must not hold for the one error by
//! which a path's limit is found.

use super::super::claim::{Claim, cited};
use super::super::{Detector, Verdict};
use super::loudest;
use crate::correlate::case::Case;
use crate::correlate::workload::Domain;
use crate::explain::quote::clean;
use crate::model::signal::IcmpError;
use crate::rank::Strength;

/// Finds senders of packets that are too large.
pub(in super::super) struct PathMtuExceeded;

impl Detector for PathMtuExceeded {
    fn cause(&self) -> &'static str {
        "path-mtu-exceeded"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let Some(complaint) = loudest(case, is_too_large) else {
            return Verdict::Silent;
        };
        let (who, to) = (case.subject(), complaint.destination());
        let reporter = clean(complaint.reporter);
        let mtu = complaint.first().map_or(0, |error| error.mtu);
        let strength = Strength {
            prior: 0.95,
            specificity: 0.95,
            directness: 1.0,
        };
        Claim {
            signs: cited(case, &complaint.windows).iter().map(|window| complaint.fact(case, *window)).collect(),
            until: complaint.windows.last().map(|window| window.at).unwrap_or_default(),
            what: format!("packets to {to} were larger than the {mtu} bytes that fit"),
            headline: format!("{who} sends packets to {to} that are too large for the way: {mtu} bytes fit"),
            explanation: format!(
                "A link behind {reporter} takes {mtu} bytes at most, and {reporter} says so for each packet that it drops. A sender \
                 that heeds it is told once; this one is told again and again."
            ),
            impact: format!("small packets to {to} arrive and large ones do not: transfers hang that begin well"),
            remediation: vec![
                format!("compare MTUs: ip route get DESTINATION shows the route's, which should be {mtu} at most; tunnels and overlays take some 50 bytes"),
                "set the MTU of the pod network to what the underlay takes, or clamp it: iptables TCPMSS --clamp-mss-to-pmtu".to_owned(),
                "see that ICMP reaches the sender: a firewall between that drops it makes a black hole".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

fn is_too_large(error: &IcmpError) -> bool {
    match error.ip_version {
        6 => error.kind == 2,
        _ => (error.kind, error.code) == (3, 4),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::signal::IcmpError;
    use crate::model::{Severity, Signal};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::icmp_error;

    const SCENARIO: Scenario = Scenario {
        cause: "path-mtu-exceeded",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn window(id: &str, ms: i64, count: u64) -> Signal {
        let error = IcmpError {
            mtu: 1400,
            protocol: "tcp".to_owned(),
            ..icmp_error(3, 4, "destination unreachable: fragmentation needed", count)
        };
        Actor::new("shop", 40).icmp(id, ms, vec![error])
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            window(&format!("w-{round}-1"), ms + 1000, 8),
            window(&format!("w-{round}-2"), ms + 3000, 8),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![(
            "the limit of a path that is found, twice",
            vec![window("v", 1000, 1), window("w", 60_000, 1)],
        )]
    }

    stands!(SCENARIO);
}
