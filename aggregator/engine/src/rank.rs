//! Ranks the explanations of a death by a printed score. Must not weigh what it cannot print: the
//! score is the product of the factors, nothing else.

use std::time::Duration;

use crate::correlate::death::Death;
use crate::detect::{DETECTORS, Finding, Reason, Verdict};
use crate::explain::story::Story;
use crate::explain::undetermined;
use crate::model::{CauseId, Confidence, Entity, Factor, Severity};

/// What a hypothesis must score to be called the root cause. A complete kernel record of the fault
/// under the worst coverage scores above it; a kill without a record of its origin scores below.
pub const THRESHOLD: f64 = 0.6;

/// How often the pattern is right when its facts are complete.
const PRIOR: &str = "prior";
/// How well the facts fit this pattern and no other.
const SPECIFICITY: &str = "specificity";
/// Whether the kernel recorded the cause itself or only its effect.
const DIRECTNESS: &str = "directness";
/// How near in time the effect followed the cause.
const ONSET: &str = "onset";
/// How much was seen around the time.
const COMPLETENESS: &str = "completeness";

/// An exit this soon after the kill is its effect.
const PROMPT: Duration = Duration::from_secs(5);

/// A large process may take this long to be torn down.
const SLOW: Duration = Duration::from_mins(1);

/// Scores keep four decimals, so that they survive any text format unchanged.
const SCORE_STEPS: f64 = 10_000.0;

/// What a detector itself knows of its case; the other factors are the same for all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strength {
    pub(crate) prior: f64,
    pub(crate) specificity: f64,
    pub(crate) directness: f64,
}

/// The engine's opinion of one death.
#[derive(Debug)]
pub(crate) struct Judgment {
    pub(crate) cause: CauseId,
    pub(crate) entity: Entity,
    pub(crate) confidence: Confidence,
    pub(crate) severity: Severity,
    pub(crate) story: Story,
    /// Best first; never empty.
    pub(crate) findings: Vec<Finding>,
    pub(crate) ruled_out: Vec<(&'static str, Reason)>,
}

/// Asks every detector and ranks what they found; nothing when the death is no fault.
pub(crate) fn judge(death: &Death<'_>) -> Option<Judgment> {
    let mut findings = Vec::new();
    let mut ruled_out = Vec::new();
    for detector in DETECTORS {
        match detector.detect(death) {
            Verdict::Holds(finding) => findings.push(*finding),
            Verdict::RuledOut(reason) => ruled_out.push((detector.cause(), reason)),
            Verdict::Silent => {}
        }
    }
    // Stable: detectors come in the order that decides between equal scores.
    findings.sort_by(|one, other| score(&other.factors).total_cmp(&score(&one.factors)));
    let best = findings.first_mut()?;
    let confidence = Confidence::new(score(&best.factors));
    let severity = best.severity;
    let determined = confidence.get() >= THRESHOLD;
    let (cause, entity, story) = if determined {
        let story = std::mem::take(&mut best.story);
        (best.cause, best.entity.clone(), story)
    } else {
        (
            CauseId::UNDETERMINED,
            death.workload_entity(),
            undetermined::story(death),
        )
    };
    Some(Judgment {
        cause: CauseId(cause.to_owned()),
        entity,
        confidence,
        severity: if determined {
            severity
        } else {
            Severity::Warning
        },
        story,
        findings,
        ruled_out,
    })
}

/// The factors of a finding, in printed order.
pub(crate) fn factors(strength: Strength, death: &Death<'_>) -> Vec<Factor> {
    [
        (PRIOR, strength.prior),
        (SPECIFICITY, strength.specificity),
        (DIRECTNESS, strength.directness),
        (ONSET, onset_match(death)),
        (COMPLETENESS, death.coverage.completeness),
    ]
    .into_iter()
    .map(|(name, value)| Factor {
        name: name.into(),
        value: round(value),
    })
    .collect()
}

/// The score of a hypothesis.
pub(crate) fn score(factors: &[Factor]) -> f64 {
    round(factors.iter().map(|factor| factor.value).product())
}

fn onset_match(death: &Death<'_>) -> f64 {
    let cause = death
        .oom
        .map(|oom| (oom.signal.ktime_ns, oom.at))
        .or_else(|| {
            death
                .killer()
                .map(|fatal| (fatal.signal.ktime_ns, fatal.at))
        });
    let (Some((ktime, at)), Some(exit)) = (cause, death.exit) else {
        return 0.97; // one of the two was not seen yet, so there is no time to compare
    };
    let apart = if ktime != 0 && exit.signal.ktime_ns != 0 {
        Duration::from_nanos(exit.signal.ktime_ns.abs_diff(ktime))
    } else {
        exit.at.since(at).max(at.since(exit.at))
    };
    if apart <= PROMPT {
        1.0
    } else if apart <= SLOW {
        0.9
    } else {
        0.8
    }
}

fn round(value: f64) -> f64 {
    (value * SCORE_STEPS).round() / SCORE_STEPS
}

#[cfg(test)]
mod tests {
    use crate::model::{Inventory, NodeCoverage};
    use crate::testing::{Actor, at_ms, full_sight, inventory, seeing_all};
    use crate::{Engine, Input};

    /// The root cause of one OOM kill, or of its exit alone, under a coverage.
    fn check(with_record: bool, inventory: &Inventory, cause: &str) {
        let worker = Actor::new("worker", 7);
        let mut signals = vec![worker.exit("s-2", at_ms(90_000), 9)];
        if with_record {
            signals.push(worker.oom("s-1", at_ms(0)));
        }
        let mut engine = Engine::default();
        let now = at_ms(90_000);
        let output = engine.step(Input {
            now,
            inventory,
            signals,
        });
        assert_eq!(output.changed[0].root_cause.cause.0, cause, "{output:#?}");
    }

    #[test]
    fn a_kernel_record_passes_under_the_worst_coverage_and_a_mere_exit_under_none() {
        let worst = inventory(NodeCoverage {
            gaps: vec![(at_ms(-2000), at_ms(-1000)), (at_ms(500), at_ms(600))],
            lost: 1_000_000,
            missing: vec!["signal: senders".to_owned()],
            ..seeing_all()
        });
        check(true, &worst, "memory-limit-oom");
        check(true, &Inventory::default(), "memory-limit-oom");
        check(false, &full_sight(), "undetermined");
        check(false, &worst, "undetermined");
    }
}
