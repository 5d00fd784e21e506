//! The facts of a death, worded once for all detectors. Must give each fact numbers, units and names
//! exactly as a headline or an explanation repeats them.

mod absence;
mod end;
mod oom_kill;

use super::quantity::{bytes, count};
use crate::correlate::death::Death;
use crate::model::signal::OomKill;
use crate::model::{Entity, EvidenceSource, SignalId, Timestamp};

/// What a fact is about; a detector cites facts by it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum FactKind {
    OomKill,
    VictimMemory,
    /// The level that was at its limit.
    Limit,
    /// The levels that were not.
    OtherLevels,
    OomGroup,
    MemorySplit,
    TopProcesses,
    Trigger,
    FellowVictims,
    Sender,
    Exit,
    InitExit,
    InitAlive,
    NoOomRecord,
    NoSenderRecord,
    /// What a finding brings itself: the n-th sign of a cause.
    Sign(&'static str, usize),
}

/// One fact of a death, not yet numbered.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) kind: FactKind,
    pub(crate) source: EvidenceSource,
    pub(crate) entity: Entity,
    pub(crate) at: Timestamp,
    pub(crate) text: String,
    pub(crate) signal: Option<SignalId>,
}

/// Words all facts of a death, in the order in which they are numbered.
pub(crate) fn facts_of(death: &Death<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(oom) = death.oom {
        facts.extend(oom_kill::facts(death, oom));
    }
    facts.extend(end::facts(death));
    facts.extend(absence::facts(death));
    facts
}

/// What the victim itself held.
pub(crate) fn victim_memory(kill: &OomKill) -> String {
    let held = kill.victim_usage;
    bytes(
        held.anon_bytes
            .saturating_add(held.file_bytes)
            .saturating_add(held.shmem_bytes),
    )
}

/// How far above the victim's own cgroup a level is.
pub(crate) fn levels_above(index: usize) -> String {
    count(index as u64, "level")
}
