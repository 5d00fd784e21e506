//! Facts that an incident rests on. Must stay numbered for good: an id never changes its meaning.

use super::{Entity, SignalId, Timestamp};

/// Number of a fact within its incident, from 1; printed as `e1`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EvidenceId(pub u32);

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EvidenceSource {
    /// The kernel said it, through a probe.
    Kernel,
    /// The agent read it from procfs or cgroupfs.
    Node,
    /// The absence of something that would have been seen.
    Coverage,
}

impl EvidenceSource {
    /// The source as reports spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Node => "node",
            Self::Coverage => "coverage",
        }
    }
}

/// One fact: who, when, what, and the signal that carries it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evidence {
    pub id: EvidenceId,
    pub source: EvidenceSource,
    pub entity: Entity,
    pub at: Timestamp,
    /// One sentence in plain words with its numbers.
    pub text: String,
    /// The signal it was read from; absent for a fact about absence.
    pub signal: Option<SignalId>,
}
