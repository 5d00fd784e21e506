//! The aggregator's own state as a REST object. Must not hold what a metric tells better.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// Answer of `GET /api/v1/status`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub api_version: String,
    /// Always `Status`.
    pub kind: String,
    pub version: String,
    pub started_at: Time,
    pub store: StoreStatus,
    pub analysis: AnalysisStatus,
    pub nodes: NodeCounts,
    pub incidents: IncidentCounts,
}

/// The store: where, how big, whether it takes writes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    pub path: String,
    pub schema_version: u32,
    pub size_bytes: u64,
    pub signals: u64,
    /// The last write error, absent when the last write went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Explanations by a model.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisStatus {
    /// `off`, `ok` or `failing`.
    pub state: String,
    /// Provider and model; empty when off.
    pub provider: String,
    pub model: String,
    /// Sentences dropped by validation since the start.
    pub dropped_sentences: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// How many nodes report.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeCounts {
    pub known: u64,
    pub connected: u64,
    /// Connected ones whose agents give something up for want of memory.
    #[serde(default)]
    pub short_of_memory: u64,
}

/// How many incidents are kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentCounts {
    pub open: u64,
    pub resolved: u64,
}
