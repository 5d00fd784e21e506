//! What one step did to incidents, and why. Must hand out only what differs from before.

use std::collections::{BTreeMap, BTreeSet};

use super::Incidents;
use crate::config::MAX_INCIDENTS;
use crate::model::{Incident, IncidentId};
use crate::step::Output;

/// What a step did to incidents.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Each touched incident as it was before; absent when it is new.
    before: BTreeMap<IncidentId, Option<Incident>>,
    /// Incidents that are no longer held.
    removed: Vec<Incident>,
    analyses: BTreeSet<IncidentId>,
    decisions: Vec<String>,
}

impl Changes {
    /// Gives the step's output: touched incidents that differ from before.
    pub(crate) fn into_output(self, incidents: &Incidents) -> Output {
        let mut changed: BTreeMap<IncidentId, Incident> = BTreeMap::new();
        let held = self.before.keys().filter_map(|id| incidents.get(id));
        for incident in held.chain(&self.removed) {
            let before = self.before.get(&incident.id).and_then(Option::as_ref);
            if self.before.contains_key(&incident.id) && before != Some(incident) {
                changed.insert(incident.id.clone(), incident.clone());
            }
        }
        Output {
            changed: changed.into_values().collect(),
            requested_analyses: self.analyses.into_iter().collect(),
            decisions: self.decisions,
        }
    }

    /// Adds a decision that is about no incident.
    pub(crate) fn note(&mut self, decision: String) {
        self.decisions.push(decision);
    }

    /// Remembers an incident as it is before it changes.
    pub(super) fn touch(&mut self, incident: &Incident) {
        self.before
            .entry(incident.id.clone())
            .or_insert_with(|| Some(incident.clone()));
    }

    /// Notes an incident that is new.
    pub(super) fn open(&mut self, incident: &Incident) {
        self.before.entry(incident.id.clone()).or_insert(None);
        self.decide(incident, Decision::Opened);
    }

    /// Keeps an incident that is no longer held, for its last change to be told.
    pub(super) fn remove(&mut self, incident: Incident) {
        self.removed.push(incident);
    }

    /// Notes what was done to an incident.
    pub(super) fn decide(&mut self, incident: &Incident, decision: Decision) {
        if decision.asks_for_analysis() {
            self.analyses.insert(incident.id.clone());
        }
        self.decisions
            .push(format!("{}: {}", incident.id.0, decision.words(incident)));
    }
}

/// What was done to an incident, and so why it changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Decision {
    Opened,
    Reopened,
    CauseChanged,
    Completed,
    /// The condition that it tells of, or another of the workload, holds still.
    GoesOn,
    Repeated,
    AlreadyCounted,
    Resolved,
    Evicted,
}

impl Decision {
    fn asks_for_analysis(self) -> bool {
        matches!(self, Self::Opened | Self::Reopened | Self::CauseChanged)
    }

    fn words(self, incident: &Incident) -> String {
        let cause = &incident.root_cause.cause.0;
        let confidence = incident.root_cause.confidence.get();
        match self {
            Self::Opened => format!(
                "opened as {cause}, score {confidence}: {}",
                incident.headline
            ),
            Self::Reopened => format!("reopened as {cause}, score {confidence}"),
            Self::CauseChanged => format!("cause is now {cause}, score {confidence}"),
            Self::Completed => format!("more is known, still {cause}, score {confidence}"),
            Self::GoesOn => format!("holds still, {cause}, score {confidence}"),
            Self::Repeated => format!("fault number {}", incident.occurrences),
            Self::AlreadyCounted => "more is known of a fault that was counted".to_owned(),
            Self::Resolved => "resolved: no repeat for the quiet period".to_owned(),
            Self::Evicted => {
                format!(
                    "no longer held: more than {MAX_INCIDENTS} incidents, and this is the oldest"
                )
            }
        }
    }
}
