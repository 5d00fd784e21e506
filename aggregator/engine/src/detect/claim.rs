//! What detectors of signs have in common: facts and words of a claim become a finding. Must not decide
//! whether a claim holds.

use super::{Finding, Reason, Spell, Verdict};
use crate::config::CONDITION_QUIET;
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::explain::facts::{Fact, FactKind};
use crate::explain::story::{self, Step, Story};
use crate::model::{Entity, Severity, Timestamp};
use crate::rank::{Strength, nearness, printed};

/// Windows cited of one claim: as many as a person reads. Of a state the first, for they stay the same as
/// it goes on; of a death the last, for they are nearest to it.
pub(super) const MAX_SIGNS: usize = 3;

/// A cause with what shows it.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) cause: &'static str,
    /// Of a state; the death of a workload's main process is always critical.
    pub(super) severity: Severity,
    pub(super) entity: Entity,
    pub(super) strength: Strength,
    /// A few, and never none.
    pub(super) signs: Vec<Fact>,
    /// When the newest sign was seen, cited or not.
    pub(super) until: Timestamp,
    /// Of no death, and yet over as soon as it is told: what happens to a node.
    pub(super) is_event: bool,
    /// What the signs show, as a step of the chain.
    pub(super) what: String,
    pub(super) headline: String,
    pub(super) explanation: String,
    /// What a state means for the workload; of a death that is told anyway.
    pub(super) impact: String,
    pub(super) remediation: Vec<String>,
}

impl Claim {
    /// A claim about the workload of a case, a warning, whose words are still to be said.
    pub(super) fn of(case: &Case<'_>, cause: &'static str, strength: Strength) -> Self {
        Self {
            cause,
            severity: Severity::Warning,
            entity: case.entity(),
            strength,
            signs: Vec::new(),
            until: Timestamp::EPOCH,
            is_event: false,
            what: String::new(),
            headline: String::new(),
            explanation: String::new(),
            impact: String::new(),
            remediation: Vec::new(),
        }
    }

    /// The claim as a finding of a case.
    pub(super) fn holds(self, case: &Case<'_>) -> Verdict {
        let signs = tagged(self.cause, self.signs);
        let kinds: Vec<FactKind> = signs.iter().map(|fact| fact.kind).collect();
        let since = signs.iter().map(|fact| fact.at).min();
        let step = Step {
            what: self.what,
            facts: kinds.clone(),
            led_to: case.death().map(|_| FactKind::Exit),
        };
        let (mut chain, mut supports) = (vec![step], kinds);
        let (impact, onset) = match case.death() {
            Some(death) => {
                chain.extend(story::chain(death));
                supports.push(FactKind::Exit);
                let newest = signs.iter().map(|fact| fact.at).max();
                let apart = newest.map(|newest| death.onset.since(newest));
                (story::impact(death), nearness(apart.unwrap_or_default()))
            }
            None => (vec![self.impact], 1.0),
        };
        let is_death = case.death().is_some();
        Verdict::Holds(Box::new(Finding {
            cause: self.cause,
            severity: if is_death {
                Severity::Critical
            } else {
                self.severity
            },
            entity: self.entity,
            factors: printed(self.strength, onset, case.coverage.completeness),
            supports,
            contradicts: Vec::new(),
            story: Story {
                headline: self.headline,
                explanation: self.explanation,
                chain,
                impact,
                remediation: self.remediation,
            },
            spell: since.filter(|_| !is_death).map(|since| Spell {
                since,
                until: self.until.max(since),
                is_event: self.is_event,
            }),
            signs,
        }))
    }
}

/// Rules a cause out with facts that are its own.
pub(super) fn ruled_out(
    cause: &'static str,
    because: impl Into<String>,
    signs: Vec<Fact>,
) -> Verdict {
    let signs = tagged(cause, signs);
    Verdict::RuledOut(Reason {
        because: because.into(),
        facts: signs.iter().map(|fact| fact.kind).collect(),
        signs,
    })
}

fn tagged(cause: &'static str, signs: Vec<Fact>) -> Vec<Fact> {
    let numbered = signs.into_iter().enumerate();
    numbered
        .map(|(index, fact)| Fact {
            kind: FactKind::Sign(cause, index),
            ..fact
        })
        .collect()
}

/// Those signs that a claim of the case cites.
pub(super) fn cited<'s, T>(case: &Case<'_>, signs: &'s [T]) -> &'s [T] {
    let surplus = signs.len().saturating_sub(MAX_SIGNS);
    let range = if case.death().is_some() {
        surplus..signs.len()
    } else {
        0..signs.len() - surplus
    };
    signs.get(range).unwrap_or_default()
}

/// The newest run of signs without a pause as long as [`CONDITION_QUIET`].
pub(super) fn last_spell<'s, 'a, T>(signs: &'s [Observed<'a, T>]) -> &'s [Observed<'a, T>] {
    let pauses = signs.array_windows();
    let start = pauses
        .rev()
        .position(|[one, next]| next.at.since(one.at) >= CONDITION_QUIET);
    let length = start.map_or(signs.len(), |pause| pause + 1);
    signs.get(signs.len() - length..).unwrap_or_default()
}
