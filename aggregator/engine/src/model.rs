//! The engine's own words: what it reads and what it concludes. Must hold no logic beyond reading
//! its own fields, and derive no `Serialize`: outward shapes live in `inquest-api`.

pub mod entity;
pub mod evidence;
pub mod incident;
pub mod inventory;
pub mod signal;
pub mod time;

pub use entity::{Entity, EntityKind, NodeName};
pub use evidence::{Evidence, EvidenceId, EvidenceSource};
pub use incident::{
    CauseChange, CauseId, ChainLink, Confidence, Factor, Fingerprint, Hypothesis, Incident,
    IncidentId, IncidentState, RootCause, RuledOut, Severity,
};
pub use inventory::{Inventory, NodeCoverage};
pub use signal::{Signal, SignalBody, SignalId, Subject};
pub use time::Timestamp;
