//! The incident as reports and REST give it, and the way between it and the engine's own.
//! Must not conclude anything: every field is copied, none computed.

use inquest_engine::model as engine;
use serde::{Deserialize, Serialize};

use crate::time::Time;

mod convert;

pub use convert::IncidentError;

/// One incident, whole.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    pub id: String,
    pub fingerprint: String,
    /// `open` or `resolved`.
    pub state: String,
    /// `critical`, `warning` or `info`.
    pub severity: String,
    pub opened_at: Time,
    pub last_seen_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
    pub occurrences: u64,
    /// What happened, one sentence.
    pub headline: String,
    /// Why, one or two sentences.
    pub explanation: String,
    pub root_cause: RootCause,
    pub hypotheses: Vec<Hypothesis>,
    pub chain: Vec<ChainLink>,
    pub evidence: Vec<Evidence>,
    pub ruled_out: Vec<RuledOut>,
    pub impact: Vec<String>,
    pub remediation: Vec<String>,
    /// What could not be seen.
    pub coverage: Vec<String>,
    pub history: Vec<CauseChange>,
    /// Everything `inquest why` finds it by.
    pub aliases: Vec<String>,
    /// What a model wrote about it; absent when no provider is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
}

/// The object a statement is about.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Entity {
    /// `Pod`, `Node`, `Cgroup` or `Process`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    pub node: String,
}

/// The explanation that holds, or `undetermined`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RootCause {
    pub cause: String,
    pub entity: Entity,
    /// 0..=1
    pub confidence: f64,
}

/// A candidate explanation with its printed score.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Hypothesis {
    pub cause: String,
    pub entity: Entity,
    pub score: f64,
    pub factors: Vec<Factor>,
    pub supports: Vec<String>,
    pub contradicts: Vec<String>,
}

/// One factor of a score.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Factor {
    pub name: String,
    pub value: f64,
}

/// One step of the story.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ChainLink {
    pub time: Time,
    pub entity: Entity,
    pub what: String,
    pub evidence: Vec<String>,
}

/// One fact.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Evidence {
    /// `e1`, `e2`, ...: unique within the incident, never reused.
    pub id: String,
    /// `kernel`, `node` or `coverage`.
    pub source: String,
    pub entity: Entity,
    pub time: Time,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
}

/// A cause that was considered and does not hold.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RuledOut {
    pub cause: String,
    pub because: String,
    pub evidence: Vec<String>,
}

/// A better cause replaced an earlier one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct CauseChange {
    pub time: Time,
    pub from: String,
    pub to: String,
}

/// Where the explanation by a model stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnalysisState {
    /// Asked, or waiting to be asked.
    Pending,
    /// Answered and checked.
    Done,
    /// The provider did not give a usable answer.
    Failed,
}

/// What a model wrote, checked sentence by sentence against the evidence it cites. Advice only.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    pub state: AnalysisState,
    pub provider: String,
    pub model: String,
    pub prompt_version: String,
    /// Only sentences whose every claim is covered by evidence of this incident.
    pub sentences: Vec<Sentence>,
    /// How many sentences of the answer were dropped by the check.
    pub dropped_sentences: u64,
    pub requested_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Time>,
    /// Why it failed; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One checked sentence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sentence {
    pub text: String,
    /// Evidence ids, for example `e2`; never empty.
    pub evidence: Vec<String>,
}

impl Incident {
    /// The condition holds.
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }
}

impl From<&engine::Incident> for Incident {
    fn from(incident: &engine::Incident) -> Self {
        convert::to_dto(incident)
    }
}

impl TryFrom<&Incident> for engine::Incident {
    type Error = IncidentError;

    /// Reads a stored incident back; the analysis is not part of the engine's incident.
    fn try_from(incident: &Incident) -> Result<Self, IncidentError> {
        convert::from_dto(incident)
    }
}
