//! `cpu-throttled`: a workload has used up its CPU quota and stands still for the rest of each period. Must
//! not hold for a burst, which quotas are there to stop.

use std::time::Duration;

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::model::signal::ResourceUsage;
use crate::rank::Strength;

/// Throttled in so many of a hundred periods.
const MIN_PERCENT: u64 = 25;

/// A start takes what it can get for a while.
const MIN_DURATION: Duration = Duration::from_secs(20);

/// Finds quotas that are in the way.
pub(super) struct CpuThrottled;

impl Detector for CpuThrottled {
    fn cause(&self) -> &'static str {
        "cpu-throttled"
    }

    fn domain(&self) -> Domain {
        Domain::Performance
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<ResourceUsage>();
        let throttled: Vec<_> = all
            .into_iter()
            .filter(|usage| is_throttled(usage.record))
            .collect();
        let spell = last_spell(&throttled);
        let (Some(first), Some(newest)) = (spell.first(), spell.last()) else {
            return Verdict::Silent;
        };
        if newest.at.since(first.record.start) < MIN_DURATION {
            return Verdict::Silent;
        }
        let who = case.subject();
        let quota = quota(first.record);
        let strength = Strength {
            prior: 0.95,
            specificity: 1.0,
            directness: 1.0,
        };
        Claim {
            signs: cited(case, spell).iter().map(|usage| fact(case, *usage)).collect(),
            until: newest.at,
            what: "the CPU quota was used up, period after period".to_owned(),
            headline: format!("{who} is slow: it is throttled at its CPU quota{quota}"),
            explanation: "The kernel lets its threads run until the quota of a period is used up, and then none of \
                          them until the next one, however idle the node is."
                .to_owned(),
            impact: format!("requests to {who} wait for the next period, mostly a tenth of a second"),
            remediation: vec![
                "raise the CPU limit, or take it away and rely on requests: resources.limits.cpu, CPUQuota=".to_owned(),
                "run as many threads as the quota has CPUs: GOMAXPROCS, -XX:ActiveProcessorCount".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

fn is_throttled(usage: &ResourceUsage) -> bool {
    let periods = usage.cpu_periods.zip(usage.cpu_throttled_periods);
    periods.is_some_and(|(all, throttled)| {
        all > 0 && throttled.saturating_mul(100) >= all.saturating_mul(MIN_PERCENT)
    })
}

fn quota(usage: &ResourceUsage) -> String {
    usage.cpu_max_millis.map_or(String::new(), |millis| {
        format!(" of {:.2} CPUs", millis as f64 / 1000.0)
    })
}

fn fact(case: &Case<'_>, usage: Observed<'_, ResourceUsage>) -> Fact {
    let record = usage.record;
    let text = format!(
        "{}: throttled in {} of {} periods within {}, for {} in all, at its CPU quota{}",
        case.subject(),
        record.cpu_throttled_periods.unwrap_or(0),
        record.cpu_periods.unwrap_or(0),
        duration(usage.at.since(record.start)),
        duration(Duration::from_nanos(record.cpu_throttled_ns.unwrap_or(0))),
        quota(record)
    );
    case.sign(usage, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::ResourceUsage;
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "cpu-throttled",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn usage(id: &str, ms: i64, throttled: u64) -> Signal {
        let usage = ResourceUsage {
            start: at_ms(ms - 10_000),
            cpu_max_millis: Some(500),
            cpu_periods: Some(100),
            cpu_throttled_periods: Some(throttled),
            cpu_throttled_ns: Some(3_000_000_000),
            ..ResourceUsage::default()
        };
        let body = SignalBody::ResourceUsage(Box::new(usage));
        Actor::new("shop", 40).signal(id, at_ms(ms), body)
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        (1..4)
            .map(|number| usage(&format!("usage-{round}-{number}"), ms + number * 10_000, 60))
            .collect()
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let seldom = (1..4)
            .map(|number| usage(&format!("usage-{number}"), number * 10_000, 10))
            .collect();
        vec![
            ("a burst", vec![usage("usage", 0, 60)]),
            ("a period now and then", seldom),
        ]
    }

    stands!(SCENARIO);
}
