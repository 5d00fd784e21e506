//! `ephemeral-ports-exhausted`: no local port is left for new connections. Must not hold for a connect from
//! an address that the host does not have, which gives the same errno.

use super::claim::{Claim, cited, last_spell, ruled_out};
use super::{Detector, Verdict, last_word};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::explain::address::socket;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::model::signal::EphemeralPortUsage;
use crate::rank::Strength;

/// Finds namespaces without a free port.
pub(super) struct EphemeralPortsExhausted;

impl Detector for EphemeralPortsExhausted {
    fn cause(&self) -> &'static str {
        "ephemeral-ports-exhausted"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let last = last_word::find(case, |call| {
            call.errno == "EADDRNOTAVAIL" && call.syscall == "connect"
        });
        if case.death().is_some() && last.is_none() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<EphemeralPortUsage>();
        let exhausted: Vec<_> = all
            .into_iter()
            .filter(|usage| usage.record.exhausted > 0 && is_used_up(usage.record))
            .collect();
        let spell = last_spell(&exhausted);
        let Some(newest) = spell.last() else {
            return match last {
                Some(last) => ruled_out(
                    self.cause(),
                    "ports were left: the address to connect from is probably not one of the host's",
                    vec![last.fact(case)],
                ),
                None => Verdict::Silent,
            };
        };
        let mut signs: Vec<Fact> = cited(case, spell)
            .iter()
            .map(|usage| fact(case, *usage))
            .collect();
        signs.extend(last.map(|last| last.fact(case)));
        let who = case.subject();
        let peer = newest.record.peer.as_ref();
        let to = peer.map_or(String::new(), |peer| format!(" to {}", socket(peer)));
        let strength = Strength {
            prior: 0.95,
            specificity: 1.0,
            directness: 1.0,
        };
        Claim {
            until: newest.at,
            signs,
            what: "no local port was left".to_owned(),
            headline: match case.death() {
                Some(_) => format!("{who} gave up: no local port was left to connect from"),
                None => format!("{who} cannot connect{to}: no local port is left"),
            },
            explanation: "Each connection to the same peer takes a local port, and keeps it for a minute after \
                          it was closed (TIME_WAIT): new ones fail with EADDRNOTAVAIL."
                .to_owned(),
            impact: format!("new connections of {who} fail at once"),
            remediation: vec![
                "let the client keep its connections and use them again (keep-alive, a pool)".to_owned(),
                "widen net.ipv4.ip_local_port_range, or spread over more addresses".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

/// Nine tenths of the range are taken.
fn is_used_up(usage: &EphemeralPortUsage) -> bool {
    let ports = u64::from(usage.last_port.saturating_sub(usage.first_port)) + 1;
    usage.in_use.max(usage.time_wait).saturating_mul(10) >= ports.saturating_mul(9)
}

fn fact(case: &Case<'_>, usage: Observed<'_, EphemeralPortUsage>) -> Fact {
    let record = usage.record;
    let text = format!(
        "{}: {} found no local port; of ports {} to {}, {} sockets are in use and {} in TIME_WAIT",
        case.subject(),
        count(record.exhausted, "call"),
        record.first_port,
        record.last_port,
        record.in_use,
        record.time_wait
    );
    case.sign(usage, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::EphemeralPortUsage;
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::{connect, database};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "ephemeral-ports-exhausted",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn usage(id: &str, ms: i64, in_use: u64, exhausted: u64) -> Signal {
        let usage = EphemeralPortUsage {
            start: at_ms(ms - 1000),
            netns: 7,
            first_port: 32_768,
            last_port: 60_999,
            time_wait: in_use,
            in_use,
            exhausted,
            peer: Some(database()),
        };
        Actor::new("shop", 40).signal(id, at_ms(ms), SignalBody::EphemeralPortUsage(usage))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            usage(&format!("usage-{round}-1"), ms, 28_000, 5),
            usage(&format!("usage-{round}-2"), ms + 1000, 28_200, 9),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let words = vec![connect(40, -10, "EADDRNOTAVAIL", database())];
        let foreign = vec![
            Actor::new("shop", 40).gave_up("exit", 0, 1, words),
            usage("usage", 0, 10, 1),
        ];
        vec![("an address that the host does not have", foreign)]
    }

    stands!(SCENARIO);
}
