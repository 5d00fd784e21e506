//! Where the programs count records that found no room.

use crate::RecordKind;

/// A ring buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lane {
    /// Rare and awaited: wakes the agent at once.
    Urgent = 0,
    /// Frequent: read at the agent's next poll.
    Bulk = 1,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Bulk];
}

const KINDS: usize = RecordKind::COUNT as usize;

/// What one CPU counted since the programs were loaded, by [`loss_index`] and [`shed_index`]. One value, so that one
/// call reads all of it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LossCounts(pub [u64; 4 * KINDS]);

/// Returns where records of `kind` that did not fit into `lane` are counted.
pub const fn loss_index(lane: Lane, kind: RecordKind) -> usize {
    lane as usize * KINDS + kind.0 as usize
}

/// Returns where records of `kind` are counted that were beyond the rate of a cgroup that could not be named.
pub const fn shed_index(lane: Lane, kind: RecordKind) -> usize {
    2 * KINDS + loss_index(lane, kind)
}

const _: () = assert!(shed_index(Lane::Bulk, RecordKind(RecordKind::COUNT - 1)) == 4 * KINDS - 1);
