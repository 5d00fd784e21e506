//! `destination-unreachable`: somebody on the way, or the destination itself, says that packets cannot be delivered. Must not
//! hold for TCP, whose connections tell more.

use super::super::claim::{Claim, cited};
use super::super::{Detector, Verdict};
use super::loudest;
use crate::correlate::case::Case;
use crate::correlate::workload::Domain;
use crate::explain::quote::clean;
use crate::model::signal::IcmpError;
use crate::rank::Strength;

/// Finds destinations that cannot be reached.
pub(in super::super) struct DestinationUnreachable;

impl Detector for DestinationUnreachable {
    fn cause(&self) -> &'static str {
        "destination-unreachable"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let Some(complaint) = loudest(case, is_unreachable) else {
            return Verdict::Silent;
        };
        let (who, to) = (case.subject(), complaint.destination());
        let reporter = clean(complaint.reporter);
        let meaning = complaint
            .first()
            .map(|error| clean(&error.meaning))
            .unwrap_or_default();
        let strength = Strength {
            prior: 0.95,
            specificity: 0.9,
            directness: 1.0,
        };
        Claim {
            signs: cited(case, &complaint.windows).iter().map(|window| complaint.fact(case, *window)).collect(),
            until: complaint.windows.last().map(|window| window.at).unwrap_or_default(),
            what: format!("{reporter} reported that {to} cannot be reached"),
            headline: format!("packets of {who} to {to} cannot be delivered"),
            explanation: format!(
                "For each packet {reporter} answers \"{meaning}\". Without a connection many programs never hear of that, and go \
                 on sending."
            ),
            impact: format!("nothing that {who} sends to {to} arrives"),
            remediation: vec![
                format!("port unreachable: nobody has that port open at {reporter}; see whether the server runs and where it is bound"),
                "prohibited: a firewall rejects the packets; see its rules, and network policies".to_owned(),
                "network, host or address unreachable: see the routes of the reporter, and whether the destination is up".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

fn is_unreachable(error: &IcmpError) -> bool {
    let is_it = match error.ip_version {
        6 => error.kind == 1,
        _ => error.kind == 3 && error.code != 4,
    };
    is_it && error.protocol != "tcp"
}

#[cfg(test)]
mod tests {
    use crate::model::signal::IcmpError;
    use crate::model::{Severity, Signal};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::icmp_error;

    const SCENARIO: Scenario = Scenario {
        cause: "destination-unreachable",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn window(id: &str, ms: i64, error: IcmpError) -> Signal {
        Actor::new("shop", 40).icmp(id, ms, vec![error])
    }

    fn port_closed(count: u64) -> IcmpError {
        icmp_error(3, 3, "destination unreachable: port unreachable", count)
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            window(&format!("w-{round}-1"), ms + 1000, port_closed(8)),
            window(&format!("w-{round}-2"), ms + 2000, port_closed(8)),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let sent = || IcmpError {
            received: false,
            ..port_closed(50)
        };
        let of_tcp = || IcmpError {
            protocol: "tcp".to_owned(),
            ..port_closed(50)
        };
        let twice =
            |error: fn() -> IcmpError| vec![window("v", 1000, error()), window("w", 2000, error())];
        vec![
            ("a burst", vec![window("w", 1000, port_closed(50))]),
            (
                "others who are told so",
                vec![window("v", 1000, sent()), window("w", 2000, sent())],
            ),
            (
                "connections",
                vec![window("v", 1000, of_tcp()), window("w", 2000, of_tcp())],
            ),
            ("a question now and then", twice(|| port_closed(2))),
        ]
    }

    stands!(SCENARIO);
}
