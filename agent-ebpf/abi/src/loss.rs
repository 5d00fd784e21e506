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

/// Counters that [`loss_index`] tells apart.
pub const LOSS_COUNTERS: u32 = 2 * RecordKind::COUNT;

/// Returns where records of `kind` that did not fit into `lane` are counted.
pub const fn loss_index(lane: Lane, kind: RecordKind) -> u32 {
    lane as u32 * RecordKind::COUNT + kind.0
}

const _: () = assert!(loss_index(Lane::Bulk, RecordKind::CGROUP_REMOVED) < LOSS_COUNTERS);
