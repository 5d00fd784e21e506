//! `port-conflict`: a server ended because its port is taken. Must not hold for a port that it may not use.

use super::claim::Claim;
use super::{Detector, Verdict, last_word};
use crate::correlate::case::Case;
use crate::explain::address::socket;
use crate::rank::Strength;

/// Finds ports that two want.
pub(super) struct PortConflict;

impl Detector for PortConflict {
    fn cause(&self) -> &'static str {
        "port-conflict"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let is_taken = last_word::find(case, |call| {
            call.errno == "EADDRINUSE" && (call.syscall == "bind" || call.syscall == "listen")
        });
        let Some(last) = is_taken else {
            return Verdict::Silent;
        };
        let (who, fact) = (case.subject(), last.fact(case));
        let address = last.call.address.as_ref();
        let place = address.map_or_else(|| "its port".to_owned(), socket);
        let port = address.map_or(0, |address| address.port);
        let strength = Strength {
            prior: 0.98,
            specificity: last.specificity(),
            directness: 1.0,
        };
        Claim {
            until: fact.at,
            signs: vec![fact],
            what: format!("{place} was taken"),
            headline: format!("{who} gave up: {place} is in use by another socket"),
            explanation: format!(
                "The kernel refused to bind {place} in the network namespace of {who}: another process \
                 listens there, or an earlier server left connections behind and the program does not set \
                 SO_REUSEADDR."
            ),
            remediation: vec![
                format!("see who holds it, in the same network namespace: ss -ltnp 'sport = :{port}'"),
                "containers of one pod share their ports, and so do pods with hostNetwork: give each its own".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::signal::FailedCall;
    use crate::model::{Severity, Signal};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::{address, call};

    const SCENARIO: Scenario = Scenario {
        cause: "port-conflict",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[2, 1],
        look_alikes,
    };

    fn refused(errno: &str, round: u32, ms: i64) -> Vec<Signal> {
        let pid = 40 + round;
        let word = FailedCall {
            address: Some(address("0.0.0.0", 8080)),
            ..call(pid, ms - 10, "bind", errno, "")
        };
        vec![Actor::new("shop", pid).gave_up(&format!("exit-{round}"), ms, 1, vec![word])]
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        refused("EADDRINUSE", round, ms)
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![("a port that it may not use", refused("EACCES", 0, 0))]
    }

    stands!(SCENARIO);
}
