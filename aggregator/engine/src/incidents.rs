//! Every incident that the engine holds, and what a case does to them: open, add, replace, reopen,
//! resolve. Must keep nothing beside the incidents: what it needs to continue is read from them, so
//! that a restart continues exactly.

mod changes;
mod evidence;
mod primary;
#[cfg(test)]
mod tests;

pub(crate) use changes::Changes;
use changes::Decision;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::config::{CONDITION_NOTED_EVERY, Config, MAX_ALIASES, MAX_HISTORY, MAX_INCIDENTS};
use crate::correlate::case::Case;
use crate::correlate::workload::{Workload, home_of};
use crate::detect::Spell;
use crate::explain::clock::utc;
use crate::explain::facts::{Fact, facts_of};
use crate::model::{
    CauseChange, Fingerprint, Incident, IncidentId, IncidentState, RootCause, Signal, SignalId,
    Timestamp,
};
use crate::rank::Judgment;

/// How the line about repeats begins; there is one, and it is always the last of the impact.
const REPEATS: &str = "in all ";

/// A case with the engine's opinion of it.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    pub(crate) case: Rc<Case<'a>>,
    pub(crate) judgment: Judgment,
    /// A death that was judged a fault before, with fewer signals: it is counted already.
    pub(crate) is_known: bool,
}

impl Judged<'_> {
    /// Cases are recorded in this order, whatever the order of their signals was: by onset, deaths first.
    pub(crate) fn order(&self) -> (Timestamp, bool, Option<&SignalId>) {
        let is_state = self.case.death().is_none();
        (self.judgment.spell.since, is_state, self.signal_ids().min())
    }

    /// The signals by which an incident is known to tell of this case.
    fn signal_ids(&self) -> impl Iterator<Item = &SignalId> {
        let is_state = self.case.death().is_none();
        let signs = self.judgment.signs.iter().filter(move |_| is_state);
        let of_state = signs.filter_map(|fact| fact.signal.as_ref());
        self.case.signal_ids().chain(of_state)
    }

    fn fingerprint(&self) -> Fingerprint {
        let domain = self.judgment.domain;
        self.case.workload.fingerprint(domain, self.case.node)
    }

    /// All facts that the incident may cite.
    fn facts(&self) -> Vec<Fact> {
        let mut facts = self.case.death().map(facts_of).unwrap_or_default();
        facts.extend(self.judgment.signs.iter().cloned());
        facts
    }
}

/// Incidents by id and by fingerprint.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    by_id: BTreeMap<IncidentId, Incident>,
    by_fingerprint: BTreeMap<Fingerprint, BTreeSet<IncidentId>>,
}

impl Incidents {
    /// Takes incidents as they were stored.
    pub(crate) fn restore(incidents: Vec<Incident>) -> Self {
        let mut restored = Self::default();
        for incident in incidents {
            restored.insert(incident);
        }
        restored
    }

    /// All incidents, in id order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.by_id.values()
    }

    /// The incident of an id.
    pub(crate) fn get(&self, id: &IncidentId) -> Option<&Incident> {
        self.by_id.get(id)
    }

    /// Whether an incident rests on this signal already.
    pub(crate) fn cites(&self, signal: &Signal) -> bool {
        let fingerprints = home_of(signal).fingerprints(&signal.node);
        fingerprints
            .iter()
            .flat_map(|fingerprint| self.of(fingerprint))
            .any(|incident| evidence::cites(incident, &signal.id))
    }

    /// Lets a case open an incident or change one.
    pub(crate) fn record(
        &mut self,
        judged: &Judged<'_>,
        now: Timestamp,
        config: Config,
        changes: &mut Changes,
    ) {
        let known = self.find(judged, config);
        if let Some(incident) = known.and_then(|id| self.by_id.get_mut(&id)) {
            changes.touch(incident);
            let decision = add(incident, judged, now, config);
            changes.decide(incident, decision);
        } else {
            let incident = open(judged, now);
            changes.open(&incident);
            self.insert(incident);
        }
    }

    /// Resolves what has been quiet, forgets what can no longer be reopened, and keeps the bound.
    pub(crate) fn sweep(&mut self, now: Timestamp, config: Config, changes: &mut Changes) {
        for incident in self.by_id.values_mut() {
            let quiet_since = incident.last_seen_at.plus(quiet_period(incident, config));
            if incident.state == IncidentState::Open && quiet_since <= now {
                changes.touch(incident);
                resolve(incident, quiet_since);
                changes.decide(incident, Decision::Resolved);
            }
        }
        let forgotten: Vec<IncidentId> = self
            .by_id
            .values()
            .filter(|incident| incident.state == IncidentState::Resolved)
            .filter(|incident| incident.last_seen_at.plus(config.reopen_within) < now)
            .map(|incident| incident.id.clone())
            .collect();
        for id in forgotten {
            self.remove(&id, changes);
        }
        while self.by_id.len() > MAX_INCIDENTS {
            self.evict(now, changes);
        }
    }

    /// Gives up the oldest resolved incident, else the oldest: an open one is resolved first, so
    /// that the store does not keep it open for ever.
    fn evict(&mut self, now: Timestamp, changes: &mut Changes) {
        let oldest = self
            .by_id
            .values()
            .min_by_key(|incident| {
                let is_open = incident.state == IncidentState::Open;
                (is_open, incident.last_seen_at, &incident.id)
            })
            .map(|incident| incident.id.clone());
        let Some(id) = oldest else { return };
        if let Some(incident) = self.by_id.get_mut(&id) {
            changes.touch(incident);
            if incident.state == IncidentState::Open {
                resolve(incident, now);
            }
            changes.decide(incident, Decision::Evicted);
        }
        self.remove(&id, changes);
    }

    /// The incident that a case belongs to: the one that rests on its death already, else the newest of
    /// its workload and domain that is not too long ago.
    fn find(&self, judged: &Judged<'_>, config: Config) -> Option<IncidentId> {
        let case = &judged.case;
        let Spell { since, until, .. } = judged.judgment.spell;
        let near = || {
            self.of(&judged.fingerprint())
                .filter(|incident| {
                    since <= incident.last_seen_at.plus(config.reopen_within)
                        && until.plus(config.reopen_within) >= incident.opened_at
                })
                .max_by_key(|incident| (incident.last_seen_at, &incident.id))
        };
        self.resting_on(case)
            .or_else(near)
            .map(|incident| incident.id.clone())
    }

    /// The incident that rests on one of a death's signals.
    fn resting_on(&self, case: &Case<'_>) -> Option<&Incident> {
        let signals = case.death().map(|death| death.signals.as_slice());
        let homes = signals.unwrap_or_default().iter();
        let mut workloads: BTreeSet<Workload> = homes.map(|signal| home_of(signal)).collect();
        workloads.insert(case.workload.clone());
        let fingerprints: BTreeSet<Fingerprint> = workloads
            .iter()
            .flat_map(|workload| workload.fingerprints(case.node))
            .collect();
        fingerprints
            .iter()
            .flat_map(|fingerprint| self.of(fingerprint))
            .find(|incident| case.signal_ids().any(|id| evidence::cites(incident, id)))
    }

    fn of(&self, fingerprint: &Fingerprint) -> impl Iterator<Item = &Incident> {
        self.by_fingerprint
            .get(fingerprint)
            .into_iter()
            .flatten()
            .filter_map(|id| self.by_id.get(id))
    }

    fn insert(&mut self, incident: Incident) {
        self.by_fingerprint
            .entry(incident.fingerprint.clone())
            .or_default()
            .insert(incident.id.clone());
        self.by_id.insert(incident.id.clone(), incident);
    }

    fn remove(&mut self, id: &IncidentId, changes: &mut Changes) {
        let Some(incident) = self.by_id.remove(id) else {
            return;
        };
        if let Some(ids) = self.by_fingerprint.get_mut(&incident.fingerprint) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_fingerprint.remove(&incident.fingerprint);
            }
        }
        changes.remove(incident);
    }
}

fn open(judged: &Judged<'_>, now: Timestamp) -> Incident {
    let fingerprint = judged.fingerprint();
    let judgment = &judged.judgment;
    let Spell {
        since,
        until,
        is_event,
    } = judgment.spell;
    let mut incident = Incident {
        id: id_of(&fingerprint, since),
        fingerprint,
        state: IncidentState::Open,
        severity: judgment.severity,
        opened_at: since,
        last_seen_at: until,
        resolved_at: None,
        occurrences: u64::from(is_event),
        headline: String::new(),
        explanation: String::new(),
        root_cause: root_cause(judgment),
        hypotheses: Vec::new(),
        chain: Vec::new(),
        evidence: Vec::new(),
        ruled_out: Vec::new(),
        impact: Vec::new(),
        remediation: Vec::new(),
        coverage: Vec::new(),
        history: Vec::new(),
        aliases: Vec::new(),
    };
    tell(&mut incident, judged, now);
    incident
}

/// Adds a case to an incident that exists.
fn add(incident: &mut Incident, judged: &Judged<'_>, now: Timestamp, config: Config) -> Decision {
    let is_primary = primary::is_of(incident, judged);
    let displaces = primary::displaces(incident, judged);
    let is_death = judged.case.death().is_some();
    let Spell {
        since,
        until,
        is_event,
    } = judged.judgment.spell;
    let is_new = if is_death {
        !judged.is_known
    } else {
        is_event && until > incident.last_seen_at
    };
    if is_new {
        incident.occurrences = incident.occurrences.saturating_add(1);
    }
    if is_new || !is_event && until >= incident.last_seen_at.plus(CONDITION_NOTED_EVERY) {
        incident.last_seen_at = incident.last_seen_at.max(until);
    }
    incident.opened_at = incident.opened_at.min(since);
    let reopens = incident.state == IncidentState::Resolved
        && incident.last_seen_at.plus(quiet_period(incident, config)) > now;
    if reopens {
        incident.state = IncidentState::Open;
        incident.resolved_at = None;
    }
    let cause_before = incident.root_cause.cause.clone();
    if is_primary || displaces || reopens {
        tell(incident, judged, now);
    } else if is_death {
        mention(incident, judged);
    }
    if reopens {
        Decision::Reopened
    } else if incident.root_cause.cause != cause_before {
        Decision::CauseChanged
    } else if is_new {
        Decision::Repeated
    } else if !is_death {
        Decision::GoesOn
    } else if is_primary {
        Decision::Completed
    } else {
        Decision::AlreadyCounted
    }
}

/// How long after its newest fault or sign an incident stays open: a condition is open while it holds.
fn quiet_period(incident: &Incident, config: Config) -> Duration {
    if incident.occurrences == 0 {
        config.condition_quiet
    } else {
        config.quiet_period
    }
}

/// Makes the incident tell of this case.
fn tell(incident: &mut Incident, judged: &Judged<'_>, now: Timestamp) {
    let Judged { case, judgment, .. } = judged;
    let cause = &judgment.cause;
    if incident.root_cause.cause != *cause {
        incident.history.push(CauseChange {
            at: now,
            from: incident.root_cause.cause.clone(),
            to: cause.clone(),
        });
        let excess = incident.history.len().saturating_sub(MAX_HISTORY);
        incident.history.drain(..excess);
    }
    let facts = judged.facts();
    if let Some(death) = case.death() {
        evidence::drop_refuted(incident, death, &facts);
    }
    let cited = evidence::number(incident, &facts);
    let story = &judgment.story;
    incident.severity = judgment.severity;
    incident.root_cause = root_cause(judgment);
    incident.headline.clone_from(&story.headline);
    incident.explanation.clone_from(&story.explanation);
    incident.hypotheses = judgment
        .findings
        .iter()
        .map(|finding| cited.hypothesis(finding))
        .collect();
    incident.chain = cited.chain(&story.chain);
    incident.ruled_out = judgment
        .ruled_out
        .iter()
        .map(|(cause, reason)| cited.ruled_out(cause, reason))
        .collect();
    incident.impact.clone_from(&story.impact);
    incident.remediation.clone_from(&story.remediation);
    incident.coverage.clone_from(&case.coverage.notes);
    finish(incident, case);
}

/// Keeps the main fact of a death that the incident does not tell of.
fn mention(incident: &mut Incident, judged: &Judged<'_>) {
    let facts = judged.facts();
    evidence::number(incident, facts.get(..1).unwrap_or_default());
    finish(incident, &judged.case);
}

/// Brings up to date what depends on all cases of the incident.
fn finish(incident: &mut Incident, case: &Case<'_>) {
    for alias in case.aliases() {
        if !incident.aliases.contains(&alias) {
            incident.aliases.push(alias);
        }
    }
    let excess = incident.aliases.len().saturating_sub(MAX_ALIASES);
    incident.aliases.drain(..excess);
    incident.impact.retain(|line| !line.starts_with(REPEATS));
    if incident.occurrences > 1 {
        incident.impact.push(format!(
            "{REPEATS}{} faults of this workload from {} to {}",
            incident.occurrences,
            utc(incident.opened_at),
            utc(incident.last_seen_at)
        ));
    }
    evidence::trim(incident);
}

fn resolve(incident: &mut Incident, at: Timestamp) {
    incident.state = IncidentState::Resolved;
    incident.resolved_at = Some(at);
}

fn root_cause(judgment: &Judgment) -> RootCause {
    RootCause {
        cause: judgment.cause.clone(),
        entity: judgment.entity.clone(),
        confidence: judgment.confidence,
    }
}

fn id_of(fingerprint: &Fingerprint, onset: Timestamp) -> IncidentId {
    let mut hash = Sha256::new();
    hash.update(fingerprint.0.as_bytes());
    hash.update([0]);
    hash.update(onset.as_nanos().to_be_bytes());
    let digest = hash.finalize();
    let (head, _) = digest.split_at(6);
    let hex = head
        .iter()
        .fold(0_u64, |hex, byte| hex << 8 | u64::from(*byte));
    IncidentId(format!("inc-{hex:012x}"))
}
