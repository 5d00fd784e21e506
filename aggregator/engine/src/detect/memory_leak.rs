//! `memory-leak`: the memory of a workload grows and will reach its limit soon. Must not hold for a cache that
//! fills, nor for a start.

use std::time::Duration;

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::bytes;
use crate::model::signal::ResourceUsage;
use crate::rank::Strength;

/// Whoever is told later cannot do anything about it, and sooner would not believe it.
const SOON: Duration = Duration::from_mins(30);

/// A limit that is less than half used may be reached by a cache that then stops.
const MIN_USED_PERCENT: u64 = 50;

/// Growth that lasts shorter is a start or a large request.
const MIN_DURATION: Duration = Duration::from_mins(2);

/// Finds memory that grows without end.
pub(super) struct MemoryLeak;

impl Detector for MemoryLeak {
    fn cause(&self) -> &'static str {
        "memory-leak"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<ResourceUsage>();
        // The newest samples that all grow, back to the last one that did not.
        let growing: Vec<_> = all
            .into_iter()
            .rev()
            .take_while(|usage| grows(usage.record))
            .collect();
        let growing: Vec<_> = growing.into_iter().rev().collect();
        let spell = last_spell(&growing);
        let (Some(first), Some(newest)) = (spell.first(), spell.last()) else {
            return Verdict::Silent;
        };
        if newest.at.since(first.at) < MIN_DURATION {
            return Verdict::Silent;
        }
        let who = case.subject();
        let limit = bytes(first.record.memory_max_bytes.unwrap_or(0));
        let strength = Strength {
            prior: 0.85,
            specificity: 0.9,
            directness: 0.95,
        };
        Claim {
            signs: cited(case, spell).iter().map(|usage| fact(case, *usage)).collect(),
            until: newest.at,
            what: "memory grew sample after sample".to_owned(),
            headline: format!("{who} will be out of memory soon: it grows towards its limit of {limit}"),
            explanation: "It has grown in every sample for minutes, along a line that reaches the limit within half \
                          an hour; the OOM killer acts there."
                .to_owned(),
            impact: format!("a process of {who} will be killed when the limit is reached"),
            remediation: vec![
                "take a heap profile now and another in a few minutes: what grew is the leak".to_owned(),
                "restart it in order before the kernel does without".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

fn grows(usage: &ResourceUsage) -> bool {
    let is_soon = usage
        .memory_seconds_left
        .is_some_and(|left| left <= SOON.as_secs());
    let used = usage.memory_bytes.zip(usage.memory_max_bytes);
    let is_used = used.is_some_and(|(used, max)| {
        used.saturating_mul(100) >= max.saturating_mul(MIN_USED_PERCENT)
    });
    let slope = usage.memory_slope_bytes_per_second.unwrap_or(0);
    slope > 0 && is_soon && is_used
}

fn fact(case: &Case<'_>, usage: Observed<'_, ResourceUsage>) -> Fact {
    let record = usage.record;
    let slope = u64::try_from(record.memory_slope_bytes_per_second.unwrap_or(0)).unwrap_or(0);
    let text = format!(
        "{}: {} of {} in use, growing by {} a second, which leaves {}",
        case.subject(),
        bytes(record.memory_bytes.unwrap_or(0)),
        bytes(record.memory_max_bytes.unwrap_or(0)),
        bytes(slope),
        duration(Duration::from_secs(record.memory_seconds_left.unwrap_or(0)))
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
        cause: "memory-leak",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2, 3],
        look_alikes,
    };

    fn usage(id: &str, ms: i64, slope: i64, seconds_left: u64) -> Signal {
        let usage = ResourceUsage {
            start: at_ms(ms - 10_000),
            memory_bytes: Some(48 << 20),
            memory_max_bytes: Some(64 << 20),
            memory_slope_bytes_per_second: Some(slope),
            memory_seconds_left: Some(seconds_left),
            ..ResourceUsage::default()
        };
        let body = SignalBody::ResourceUsage(Box::new(usage));
        Actor::new("shop", 40).signal(id, at_ms(ms), body)
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        (0..4)
            .map(|number| {
                usage(
                    &format!("usage-{round}-{number}"),
                    ms + number * 50_000,
                    65_536,
                    256,
                )
            })
            .collect()
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let slowly = (0..4)
            .map(|number| usage(&format!("usage-{number}"), number * 50_000, 1024, 16_384))
            .collect();
        let mut filled = signals(0, 0);
        filled.push(usage("full", 160_000, 0, 0));
        vec![
            ("a start", vec![usage("usage", 0, 65_536, 256)]),
            ("growth that takes hours", slowly),
            ("a cache that filled and stopped", filled),
        ]
    }

    stands!(SCENARIO);
}
