//! What a spool tells about itself; must not decide anything.

use std::time::Duration;

use serde::Serialize;

/// What an ack settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// How many batches.
    pub batches: u64,
    /// How many signals were in them.
    pub signals: u64,
    /// How long the last of them was in flight.
    pub waited: Duration,
}

/// The state of a spool, for people and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpoolStatus {
    /// Batches that are not acked.
    pub batches: u64,
    /// Signals in them.
    pub signals: u64,
    /// Bytes of the segment files.
    pub bytes: u64,
    /// Bound of `bytes`.
    pub max_bytes: u64,
    /// Batches that are in memory only, because the disk takes no writes.
    pub memory_batches: u64,
    /// Bytes of those.
    pub memory_bytes: u64,
    /// Why the disk takes no writes; absent while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
}
