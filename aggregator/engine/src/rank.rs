//! Ranks the explanations of a case by a printed score. Must not weigh what it cannot print: the
//! score is the product of the factors, nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::correlate::case::Case;
use crate::correlate::death::Death;
use crate::correlate::workload::Domain;
use crate::detect::{DETECTORS, Finding, Reason, Spell, Verdict};
use crate::explain::facts::Fact;
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

/// The engine's opinion of one case.
#[derive(Debug)]
pub(crate) struct Judgment {
    pub(crate) cause: CauseId,
    pub(crate) domain: Domain,
    pub(crate) entity: Entity,
    pub(crate) confidence: Confidence,
    pub(crate) severity: Severity,
    pub(crate) story: Story,
    pub(crate) spell: Spell,
    /// Facts that findings and reasons bring themselves.
    pub(crate) signs: Vec<Fact>,
    /// Best first; never empty.
    pub(crate) findings: Vec<Finding>,
    pub(crate) ruled_out: Vec<(&'static str, Reason)>,
}

/// Asks every detector and ranks what they found. Of a death there is one opinion, none when it is no
/// fault; of a state one for each domain in which a condition holds.
pub(crate) fn judge(case: &Case<'_>) -> Vec<Judgment> {
    let mut opinions: BTreeMap<Domain, Opinion> = BTreeMap::new();
    let is_death = case.death().is_some();
    for detector in DETECTORS {
        // Whatever ended a process, it ended once.
        let domain = if is_death {
            Domain::Runtime
        } else {
            detector.domain()
        };
        let opinion = opinions.entry(domain).or_default();
        match detector.detect(case) {
            Verdict::Holds(finding) => opinion.findings.push((detector.domain(), *finding)),
            Verdict::RuledOut(reason) => opinion.ruled_out.push((detector.cause(), reason)),
            Verdict::Silent => {}
        }
    }
    let opinions = opinions.into_values();
    opinions.filter_map(|opinion| opinion.judge(case)).collect()
}

/// What detectors say that compete with each other.
#[derive(Debug, Default)]
struct Opinion {
    findings: Vec<(Domain, Finding)>,
    ruled_out: Vec<(&'static str, Reason)>,
}

impl Opinion {
    fn judge(self, case: &Case<'_>) -> Option<Judgment> {
        let Self {
            mut findings,
            ruled_out,
        } = self;
        // Stable: detectors come in the order that decides between equal scores.
        findings
            .sort_by(|(_, one), (_, other)| score(&other.factors).total_cmp(&score(&one.factors)));
        let signs = own_signs(&findings, &ruled_out);
        let (domain, best) = findings.first_mut()?;
        let confidence = Confidence::new(score(&best.factors));
        let mut judgment = Judgment {
            cause: CauseId(best.cause.to_owned()),
            domain: *domain,
            entity: best.entity.clone(),
            confidence,
            severity: best.severity,
            story: std::mem::take(&mut best.story),
            spell: spell(case, best)?,
            signs,
            findings: Vec::new(),
            ruled_out,
        };
        if confidence.get() < THRESHOLD {
            // What nobody can explain must be told of a kill, not of a program that gave up by itself.
            let death = case.death().filter(|death| death.is_violent())?;
            judgment.cause = CauseId(CauseId::UNDETERMINED.to_owned());
            judgment.domain = Domain::Runtime;
            judgment.entity = case.entity();
            judgment.severity = Severity::Warning;
            judgment.story = undetermined::story(death);
        }
        judgment.findings = findings.into_iter().map(|(_, finding)| finding).collect();
        Some(judgment)
    }
}

fn own_signs(findings: &[(Domain, Finding)], ruled_out: &[(&str, Reason)]) -> Vec<Fact> {
    let found = findings.iter().flat_map(|(_, finding)| &finding.signs);
    let refuted = ruled_out.iter().flat_map(|(_, reason)| &reason.signs);
    found.chain(refuted).cloned().collect()
}

fn spell(case: &Case<'_>, best: &Finding) -> Option<Spell> {
    let of_death = case.death().map(|death| Spell {
        since: death.onset,
        until: death.onset,
        is_event: true,
    });
    of_death.or(best.spell)
}

/// The factors of a finding about a death, in printed order.
pub(crate) fn factors(strength: Strength, death: &Death<'_>) -> Vec<Factor> {
    printed(strength, onset_match(death), death.coverage.completeness)
}

/// The factors of a finding, in printed order.
pub(crate) fn printed(strength: Strength, onset: f64, completeness: f64) -> Vec<Factor> {
    [
        (PRIOR, strength.prior),
        (SPECIFICITY, strength.specificity),
        (DIRECTNESS, strength.directness),
        (ONSET, onset),
        (COMPLETENESS, completeness),
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
    nearness(apart)
}

/// How well an effect so long after its cause fits.
pub(crate) fn nearness(apart: Duration) -> f64 {
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
