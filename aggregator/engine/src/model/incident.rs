//! What the engine concludes: an incident with its ranked causes and the facts for and against them.
//! Must not change by itself: only `Engine::step` makes and changes incidents.

use std::borrow::Cow;

use super::{Entity, Evidence, EvidenceId, Timestamp};

/// Derived from fingerprint and first onset, so that a replay gives the same id.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IncidentId(pub String);

/// Stable key of the failing workload and failure domain, not of the cause.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Fingerprint(pub String);

/// Stable public id of a cause, for example `memory-limit-oom`; the closed list is `docs/patterns.md`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CauseId(pub String);

impl CauseId {
    /// What a root cause says when no hypothesis passes the threshold.
    pub const UNDETERMINED: &'static str = "undetermined";
}

/// Whether the condition holds now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IncidentState {
    Open,
    Resolved,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

/// How sure the engine is, 0..=1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Confidence(f64);

impl Confidence {
    /// Makes a confidence, held within 0..=1; not a number counts as 0.
    pub fn new(value: f64) -> Self {
        Self(if value.is_nan() {
            0.0
        } else {
            value.clamp(0.0, 1.0)
        })
    }

    /// The value, 0..=1.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// The explanation that passed the threshold, or `undetermined`.
#[derive(Clone, Debug, PartialEq)]
pub struct RootCause {
    pub cause: CauseId,
    pub entity: Entity,
    pub confidence: Confidence,
}

/// One factor of a hypothesis's score; the score is the product of its factors.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    pub name: Cow<'static, str>,
    pub value: f64,
}

/// A candidate explanation with its printed score.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    pub cause: CauseId,
    pub entity: Entity,
    /// Product of `factors`, 0..=1.
    pub score: Confidence,
    pub factors: Vec<Factor>,
    /// Facts that speak for it.
    pub supports: Vec<EvidenceId>,
    /// Facts that speak against it.
    pub contradicts: Vec<EvidenceId>,
}

/// One step of the story, in time order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChainLink {
    pub at: Timestamp,
    pub entity: Entity,
    pub what: String,
    pub evidence: Vec<EvidenceId>,
}

/// A cause that was considered and does not hold, with the reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuledOut {
    pub cause: CauseId,
    pub because: String,
    pub evidence: Vec<EvidenceId>,
}

/// A better cause replaced an earlier one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CauseChange {
    pub at: Timestamp,
    pub from: CauseId,
    pub to: CauseId,
}

/// Correlated findings about one failing workload, with one life cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub id: IncidentId,
    pub fingerprint: Fingerprint,
    pub state: IncidentState,
    pub severity: Severity,
    /// First onset.
    pub opened_at: Timestamp,
    /// The newest fault that belongs to it.
    pub last_seen_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
    /// How many faults it holds; a repeat adds to it rather than opening another incident.
    pub occurrences: u64,
    /// What happened, one sentence.
    pub headline: String,
    /// Why it happened, one or two sentences.
    pub explanation: String,
    pub root_cause: RootCause,
    /// Ranked, best first.
    pub hypotheses: Vec<Hypothesis>,
    pub chain: Vec<ChainLink>,
    pub evidence: Vec<Evidence>,
    pub ruled_out: Vec<RuledOut>,
    pub impact: Vec<String>,
    /// What to do next, most useful first; text for a person, never executed.
    pub remediation: Vec<String>,
    /// What could not be seen around the onset.
    pub coverage: Vec<String>,
    pub history: Vec<CauseChange>,
    /// Everything a person may call it by: pids, cgroup paths, container ids, pod UIDs.
    pub aliases: Vec<String>,
}
