//! How many records of a kind one cgroup may cause, so that a restart loop or a flood of crashes does not crowd out
//! the rest; and by what the programs count those beyond.

use crate::{Generation, Lane, RecordKind};

/// A rate with a burst.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Records that may come at once.
    pub burst: u64,
    /// Records a second that may come for long.
    pub per_second: u64,
}

impl Rate {
    /// Of kinds that are frequent and explain failures rather than being any.
    const BULK: Self = Self {
        burst: 50,
        per_second: 20,
    };
    /// Of executions that failed: looking for a program tries every directory of `PATH`, and only what came to nothing
    /// becomes a signal, with a rate of its own.
    const EXEC_FAILED: Self = Self {
        burst: 500,
        per_second: 100,
    };
    /// Of ends by signal and of container inits: far more than a cgroup has to tell, and less than half of the urgent
    /// ring even if the agent reads none of them.
    const URGENT_EXIT: Self = Self {
        burst: 2000,
        per_second: 100,
    };
    /// Of OOM kills, whose records are a dozen times as large.
    const URGENT_OOM: Self = Self {
        burst: 150,
        per_second: 20,
    };
    /// Records that a cgroup may have beyond its steady rate while the urgent ring is more than half full: so that the
    /// other half is left to cgroups that do not flood it.
    pub const RESERVE_BURST: u64 = 16;

    /// Returns the rate of records of `kind` in `lane`.
    pub const fn of(lane: Lane, kind: RecordKind) -> Self {
        match lane {
            Lane::Urgent if kind.0 == RecordKind::OOM_KILL.0 => Self::URGENT_OOM,
            Lane::Urgent => Self::URGENT_EXIT,
            Lane::Bulk if kind.0 == RecordKind::EXEC_FAILED.0 => Self::EXEC_FAILED,
            Lane::Bulk => Self::BULK,
        }
    }

    /// Returns the time that gives back one record.
    pub const fn ns_per_record(self) -> u64 {
        1_000_000_000 / self.per_second
    }
}

/// What records are limited by, and what those beyond are counted by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateKey {
    /// The one that names the process on this node.
    pub cgroup: u64,
    /// Of the records.
    pub kind: RecordKind,
    /// `Lane` as a number.
    pub lane: u16,
    /// When they are counted; 0 where they are limited.
    pub generation: u16,
}

const _: () = assert!(size_of::<RateKey>() == 16);

impl Generation for RateKey {
    fn generation(&self) -> u32 {
        u32::from(self.generation)
    }
}
