//! `cpu-saturated` and `noisy-neighbor`: threads wait for a CPU. Which of the two is told by who uses the
//! CPUs: the workload itself, or another one of the node. Must not hold at a quota, which is `cpu-throttled`.

use std::time::Duration;

use super::claim::{Claim, cited, last_spell, ruled_out};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::{Domain, home_of};
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::model::Entity;
use crate::model::signal::ResourceUsage;
use crate::rank::Strength;

/// Time waited of a hundred of the window, all threads together.
const MIN_PERCENT: u128 = 50;

/// Queues come and go.
const MIN_DURATION: Duration = Duration::from_secs(20);

/// Who uses twice as much CPU time as the workload is the one that takes it.
const NEIGHBOR_FACTOR: u64 = 2;

/// Finds workloads that want more CPU than there is.
pub(super) struct CpuSaturated;

/// Finds workloads whose CPU another one takes.
pub(super) struct NoisyNeighbor;

/// A workload that waits, and who else runs.
struct Starved<'a> {
    spell: Vec<Observed<'a, ResourceUsage>>,
    neighbor: Option<Observed<'a, ResourceUsage>>,
}

impl Detector for CpuSaturated {
    fn cause(&self) -> &'static str {
        "cpu-saturated"
    }

    fn domain(&self) -> Domain {
        Domain::Performance
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(starved) = Starved::of(case) else {
            return Verdict::Silent;
        };
        match starved.neighbor {
            Some(neighbor) => ruled_out(
                self.cause(),
                "another workload of the node uses far more CPU time",
                vec![usage_fact(case, neighbor)],
            ),
            None => starved.claim(case, self.cause()),
        }
    }
}

impl Detector for NoisyNeighbor {
    fn cause(&self) -> &'static str {
        "noisy-neighbor"
    }

    fn domain(&self) -> Domain {
        Domain::Performance
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        match Starved::of(case) {
            Some(starved) if starved.neighbor.is_some() => starved.claim(case, self.cause()),
            _ => Verdict::Silent,
        }
    }
}

impl<'a> Starved<'a> {
    fn of(case: &Case<'a>) -> Option<Self> {
        if case.death().is_some() {
            return None;
        }
        let all = case.troubles.of::<ResourceUsage>();
        let waiting: Vec<_> = all.into_iter().filter(waits).collect();
        let spell = last_spell(&waiting).to_vec();
        let (first, newest) = (spell.first()?, spell.last()?);
        if newest.at.since(first.record.start) < MIN_DURATION {
            return None;
        }
        let own = newest.record.cpu_usage_ns.unwrap_or(0);
        let others = case.elsewhere::<ResourceUsage>();
        let neighbor = others
            .into_iter()
            .max_by_key(|other| {
                (
                    other.record.cpu_usage_ns,
                    std::cmp::Reverse(&other.signal.id),
                )
            })
            .filter(|other| {
                let used = other.record.cpu_usage_ns.unwrap_or(0);
                used > own.saturating_mul(NEIGHBOR_FACTOR)
            });
        Some(Self { spell, neighbor })
    }

    fn claim(&self, case: &Case<'_>, cause: &'static str) -> Verdict {
        let who = case.subject();
        let mut signs: Vec<Fact> = cited(case, &self.spell)
            .iter()
            .map(|usage| fact(case, *usage))
            .collect();
        signs.extend(self.neighbor.map(|neighbor| usage_fact(case, neighbor)));
        let neighbor = self.neighbor.map(|neighbor| name_of(case, neighbor).name);
        let (headline, explanation) = match &neighbor {
            Some(neighbor) => (
                format!("{who} is slow: its threads wait for a CPU that {neighbor} uses"),
                format!("The node has fewer CPUs than threads that want one, and {neighbor} uses most of the time."),
            ),
            None => (
                format!("{who} is slow: its threads wait for a CPU"),
                "It wants more CPU time than it gets, and no other workload of the node uses much more than it does."
                    .to_owned(),
            ),
        };
        let strength = Strength {
            prior: 0.9,
            specificity: 0.9,
            directness: 1.0,
        };
        Claim {
            signs,
            until: self.spell.last().map(|usage| usage.at).unwrap_or_default(),
            what: "threads waited for a CPU".to_owned(),
            headline,
            explanation,
            impact: format!("everything that {who} does takes longer by the time it waits"),
            remediation: vec![
                "give the workload a share that fits what it needs: resources.requests.cpu, CPUWeight=".to_owned(),
                "see who uses the CPUs: top, or systemd-cgtop; move or limit who need not".to_owned(),
            ],
            ..Claim::of(case, cause, strength)
        }
        .holds(case)
    }
}

/// Its threads wait for much of the window, and not for its own quota.
fn waits(usage: &Observed<'_, ResourceUsage>) -> bool {
    let record = usage.record;
    let window = usage.at.since(record.start).as_nanos();
    let waited = u128::from(record.run_queue_delay_ns.unwrap_or(0));
    let is_throttled = record
        .cpu_throttled_periods
        .is_some_and(|periods| periods > 0);
    window > 0 && waited * 100 >= window * MIN_PERCENT && !is_throttled
}

fn name_of(case: &Case<'_>, other: Observed<'_, ResourceUsage>) -> Entity {
    home_of(other.signal).entity(case.node, other.signal.subject.process.as_ref())
}

fn fact(case: &Case<'_>, usage: Observed<'_, ResourceUsage>) -> Fact {
    let record = usage.record;
    let text = format!(
        "{}: within {} its threads waited {} for a CPU and ran for {}",
        case.subject(),
        duration(usage.at.since(record.start)),
        duration(Duration::from_nanos(record.run_queue_delay_ns.unwrap_or(0))),
        duration(Duration::from_nanos(record.cpu_usage_ns.unwrap_or(0)))
    );
    case.sign(usage, text)
}

fn usage_fact(case: &Case<'_>, usage: Observed<'_, ResourceUsage>) -> Fact {
    let record = usage.record;
    let text = format!(
        "{} used {} of CPU time within {}",
        name_of(case, usage).name,
        duration(Duration::from_nanos(record.cpu_usage_ns.unwrap_or(0))),
        duration(usage.at.since(record.start))
    );
    case.sign(usage, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::ResourceUsage;
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::checks::causes;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "cpu-saturated",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn usage(who: &Actor, id: &str, ms: i64, waited_ms: u64, ran_ms: u64) -> Signal {
        let usage = ResourceUsage {
            start: at_ms(ms - 10_000),
            cpu_usage_ns: Some(ran_ms * 1_000_000),
            run_queue_delay_ns: Some(waited_ms * 1_000_000),
            ..ResourceUsage::default()
        };
        who.signal(id, at_ms(ms), SignalBody::ResourceUsage(Box::new(usage)))
    }

    fn shop() -> Actor {
        Actor::new("shop", 40)
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        (1..4)
            .map(|number| {
                let id = format!("usage-{round}-{number}");
                usage(&shop(), &id, ms + number * 10_000, 8000, 4000)
            })
            .collect()
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let busy = (1..4)
            .map(|number| {
                usage(
                    &shop(),
                    &format!("usage-{number}"),
                    number * 10_000,
                    500,
                    9000,
                )
            })
            .collect();
        vec![
            (
                "a queue that passed",
                vec![usage(&shop(), "usage", 0, 8000, 4000)],
            ),
            ("a busy workload that gets what it wants", busy),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn names_the_neighbor_that_takes_the_time() {
        let miner = Actor::new("miner", 50).in_cgroup(88, "/miner");
        let mut signals = signals(0, 0);
        signals.push(usage(&miner, "miner", 25_000, 0, 39_000));
        assert_eq!(causes(signals.clone()), ["noisy-neighbor"]);
        let incidents = crate::testing::incidents_of(signals);
        assert!(
            incidents[0].headline.contains("/miner"),
            "{}",
            incidents[0].headline
        );
        crate::testing::checks::rests_on_facts(&incidents[0]);
    }
}
