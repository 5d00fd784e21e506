//! `conntrack-full`: the kernel tracks as many connections as it may and drops packets of new ones. Must not
//! hold for drops in a table with room left.

use super::claim::{Claim, cited, last_spell, ruled_out};
use super::{Detector, Verdict, node_event};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::explain::facts::Fact;
use crate::model::Severity;
use crate::model::signal::{ConntrackUsage, NodeEventKind};
use crate::rank::Strength;

/// Finds full connection tracking.
pub(super) struct ConntrackFull;

impl Detector for ConntrackFull {
    fn cause(&self) -> &'static str {
        "conntrack-full"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<ConntrackUsage>();
        let losing: Vec<_> = all
            .into_iter()
            .filter(|usage| lost(usage.record) > 0)
            .collect();
        let (full, roomy): (Vec<_>, Vec<_>) =
            losing.into_iter().partition(|usage| is_full(usage.record));
        let spell = last_spell(&full);
        let signs: Vec<Fact> = cited(case, spell)
            .iter()
            .map(|usage| fact(case, *usage))
            .collect();
        let events = node_event::of_kinds(case, &[NodeEventKind::ConntrackFull]);
        let claim = match (spell.last(), &events) {
            (Some(newest), _) => Claim {
                until: newest.at,
                signs,
                ..Claim::of(case, self.cause(), STRENGTH)
            },
            (None, Some(events)) => events.claim(case, self.cause()),
            (None, None) => {
                let Some(usage) = roomy.last() else {
                    return Verdict::Silent;
                };
                return ruled_out(
                    self.cause(),
                    "the table has room; two packets of one socket may race for an entry",
                    vec![fact(case, *usage)],
                );
            }
        };
        Claim {
            severity: Severity::Critical,
            what: "connection tracking was full".to_owned(),
            headline: format!("{}: connection tracking is full, packets of new connections are dropped", case.subject()),
            explanation: "The kernel keeps an entry for each connection that its packet filter follows, and may \
                          keep no more: the first packet of a new one is dropped without a word, so that clients \
                          time out now and then."
                .to_owned(),
            impact: "new connections of every workload behind this table fail at random".to_owned(),
            remediation: vec![
                "find who has most: conntrack -L | awk '{print $5}' | sort | uniq -c | sort -n | tail".to_owned(),
                "raise net.netfilter.nf_conntrack_max, and shorten the timeouts of what is idle".to_owned(),
            ],
            ..claim
        }
        .holds(case)
    }
}

const STRENGTH: Strength = Strength {
    prior: 0.98,
    specificity: 1.0,
    directness: 1.0,
};

const fn lost(usage: &ConntrackUsage) -> u64 {
    usage.insert_failed.saturating_add(usage.drop)
}

const fn is_full(usage: &ConntrackUsage) -> bool {
    usage.max > 0 && usage.entries.saturating_mul(100) >= usage.max.saturating_mul(98)
}

fn fact(case: &Case<'_>, usage: Observed<'_, ConntrackUsage>) -> Fact {
    let record = usage.record;
    let text = format!(
        "{}: {} of {} connections are tracked, and {} packets found no room",
        case.subject(),
        record.entries,
        record.max,
        lost(record)
    );
    case.sign(usage, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::ConntrackUsage;
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "conntrack-full",
        severity: Severity::Critical,
        nature: Nature::Condition,
        signals,
        supports: &[1],
        look_alikes,
    };

    fn usage(id: &str, ms: i64, entries: u64) -> Signal {
        let usage = ConntrackUsage {
            start: at_ms(ms - 1000),
            netns: 7,
            entries,
            max: 1000,
            insert_failed: 3,
            drop: 3,
            early_drop: 0,
        };
        Actor::new("shop", 40).signal(id, at_ms(ms), SignalBody::ConntrackUsage(usage))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![usage(&format!("usage-{round}"), ms, 1000)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![("drops in a table with room", vec![usage("u", 0, 400)])]
    }

    stands!(SCENARIO);
}
