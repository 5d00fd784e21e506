//! Numbers the facts of an incident and keeps their number within bounds. Must never give a number
//! twice: who cites `e3` means the same fact for ever.

use std::collections::BTreeSet;

use crate::config::{MAX_EVIDENCE, MAX_FIRST_EVIDENCE};
use crate::correlate::death::Death;
use crate::detect::{Finding, Reason};
use crate::explain::facts::{Fact, FactKind};
use crate::explain::story::Step;
use crate::model::{
    CauseId, ChainLink, Confidence, Evidence, EvidenceId, EvidenceSource, Hypothesis, Incident,
    RuledOut, SignalId,
};
use crate::rank::score;

/// The facts of one death under their numbers.
#[derive(Debug)]
pub(super) struct Cited<'a> {
    facts: Vec<(EvidenceId, &'a Fact)>,
}

impl Cited<'_> {
    /// The hypothesis that a finding becomes.
    pub(super) fn hypothesis(&self, finding: &Finding) -> Hypothesis {
        Hypothesis {
            cause: CauseId(finding.cause.to_owned()),
            entity: finding.entity.clone(),
            score: Confidence::new(score(&finding.factors)),
            factors: finding.factors.clone(),
            supports: self.ids(&finding.supports),
            contradicts: self.ids(&finding.contradicts),
        }
    }

    /// A ruled-out cause with its facts.
    pub(super) fn ruled_out(&self, cause: &str, reason: &Reason) -> RuledOut {
        RuledOut {
            cause: CauseId(cause.to_owned()),
            because: reason.because.clone(),
            evidence: self.ids(&reason.facts),
        }
    }

    /// The steps that a fact shows, in time order; steps of one time keep their order, cause first.
    pub(super) fn chain(&self, steps: &[Step]) -> Vec<ChainLink> {
        let mut chain: Vec<ChainLink> = steps
            .iter()
            .filter_map(|step| {
                let first = step.facts.iter().find_map(|kind| self.fact(*kind))?;
                let effect = step.led_to.and_then(|kind| self.fact(kind));
                Some(ChainLink {
                    at: effect.map_or(first.at, |effect| first.at.min(effect.at)),
                    entity: first.entity.clone(),
                    what: step.what.clone(),
                    evidence: self.ids(&step.facts),
                })
            })
            .collect();
        chain.sort_by_key(|link| link.at);
        chain
    }

    fn fact(&self, kind: FactKind) -> Option<&Fact> {
        let mut of_kind = self.facts.iter().filter(|(_, fact)| fact.kind == kind);
        of_kind.next().map(|(_, fact)| *fact)
    }

    fn ids(&self, kinds: &[FactKind]) -> Vec<EvidenceId> {
        kinds
            .iter()
            .flat_map(|kind| {
                self.facts
                    .iter()
                    .filter(move |(_, fact)| fact.kind == *kind)
            })
            .map(|(id, _)| *id)
            .collect()
    }
}

/// Whether the incident rests on a signal.
pub(super) fn cites(incident: &Incident, signal: &SignalId) -> bool {
    incident
        .evidence
        .iter()
        .any(|fact| fact.signal.as_ref() == Some(signal))
}

/// Adds facts to the incident; one that it has already keeps its number.
pub(super) fn number<'a>(incident: &mut Incident, facts: &'a [Fact]) -> Cited<'a> {
    let facts = facts
        .iter()
        .map(|fact| (number_one(incident, fact), fact))
        .collect();
    Cited { facts }
}

fn number_one(incident: &mut Incident, fact: &Fact) -> EvidenceId {
    if let Some(known) = incident.evidence.iter().find(|known| is_same(known, fact)) {
        return known.id;
    }
    let last = incident.evidence.iter().map(|fact| fact.id.0).max();
    let id = EvidenceId(last.unwrap_or(0).saturating_add(1));
    incident.evidence.push(Evidence {
        id,
        source: fact.source,
        entity: fact.entity.clone(),
        at: fact.at,
        text: fact.text.clone(),
        signal: fact.signal.clone(),
    });
    id
}

fn is_same(known: &Evidence, fact: &Fact) -> bool {
    known.signal == fact.signal && known.source == fact.source && known.text == fact.text
}

/// Drops absences that a later signal refuted. Its own facts come in the same step and take higher
/// numbers than what is dropped, because the dropped facts are taken out after they are numbered.
pub(super) fn drop_refuted(incident: &mut Incident, death: &Death<'_>, facts: &[Fact]) {
    number(incident, facts);
    let victim = death.victim_entity();
    incident.evidence.retain(|known| {
        known.source != EvidenceSource::Coverage
            || known.entity != victim
            || facts.iter().any(|fact| is_same(known, fact))
    });
}

/// Keeps the first facts, those that the incident cites now, and the newest others.
pub(super) fn trim(incident: &mut Incident) {
    if incident.evidence.len() <= MAX_EVIDENCE {
        return;
    }
    let mut kept: BTreeSet<EvidenceId> = cited(incident);
    let ids: Vec<EvidenceId> = incident.evidence.iter().map(|fact| fact.id).collect();
    let newest = ids.last().copied();
    let first = ids.iter().take(MAX_FIRST_EVIDENCE).copied();
    // The newest stays even when nothing else may: the next number is counted from it.
    for id in newest
        .into_iter()
        .chain(first)
        .chain(ids.iter().rev().copied())
    {
        if kept.len() >= MAX_EVIDENCE {
            break;
        }
        kept.insert(id);
    }
    incident.evidence.retain(|fact| kept.contains(&fact.id));
}

fn cited(incident: &Incident) -> BTreeSet<EvidenceId> {
    let hypotheses = incident
        .hypotheses
        .iter()
        .flat_map(|hypothesis| hypothesis.supports.iter().chain(&hypothesis.contradicts));
    let chain = incident.chain.iter().flat_map(|link| &link.evidence);
    let ruled_out = incident.ruled_out.iter().flat_map(|ruled| &ruled.evidence);
    hypotheses.chain(chain).chain(ruled_out).copied().collect()
}
