//! The record of an OOM kill.

use crate::{CgroupIds, MAX_CGROUP_LEVELS, MAX_CGROUP_NAME, Process, RecordHeader};

/// The OOM killer chose a victim, or let one that was dying use memory reserves.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OomKill {
    /// Of kind `OOM_KILL`.
    pub header: RecordHeader,
    /// Who is killed. Only `pid` is set when `victim_known` is 0.
    pub victim: Process,
    /// Where it ran.
    pub victim_cgroups: CgroupIds,
    /// The task whose allocation could not be served.
    pub trigger: Process,
    /// Where that ran.
    pub trigger_cgroups: CgroupIds,
    /// What the victim held.
    pub resident: ResidentPages,
    /// The victim's, from -1000 to 1000.
    pub oom_score_adj: i32,
    /// 1 when the kernel told more of the victim than its pid.
    pub victim_known: u32,
    /// Valid entries of `chain`.
    pub chain_len: u32,
    /// 1 when the victim's cgroup has more ancestors than `chain` holds.
    pub chain_truncated: u32,
    /// Valid entries of `trigger_chain`.
    pub trigger_chain_len: u32,
    /// 1 when the trigger's cgroup has more ancestors than `trigger_chain` holds.
    pub trigger_chain_truncated: u32,
    /// 1 when it is certain that the victim was dying of something else already: the kernel granted it memory
    /// reserves to end with, it did not kill it.
    pub was_dying: u32,
    /// Always 0.
    pub reserved: u32,
    /// Ids of the trigger's memory cgroups, its own first.
    pub trigger_chain: [u64; MAX_CGROUP_LEVELS],
    /// The victim's memory cgroups, its own first.
    pub chain: [MemoryCgroup; MAX_CGROUP_LEVELS],
}

const _: () =
    assert!(size_of::<OomKill>() == 208 + MAX_CGROUP_LEVELS * (8 + size_of::<MemoryCgroup>()));

/// Pages that a process holds, by what backs them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResidentPages {
    /// Anonymous memory.
    pub anon: u64,
    /// Mapped files.
    pub file: u64,
    /// Shared memory and tmpfs.
    pub shmem: u64,
    /// Swapped out.
    pub swap: u64,
}

const _: () = assert!(size_of::<ResidentPages>() == 32);

/// One level of a chain of memory cgroups, as the kernel had it at the kill.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryCgroup {
    /// Unique within the memory controller's hierarchy.
    pub id: u64,
    /// Pages charged.
    pub usage_pages: u64,
    /// Pages allowed; huge when there is no limit.
    pub max_pages: u64,
    /// Of v1: pages charged, of memory and swap together. On v2 the kernel keeps its count of swap alone in
    /// the same place, so it must be ignored there.
    pub memsw_usage_pages: u64,
    /// Of v1: pages allowed, of memory and swap together; huge when there is no limit or no such count. To be
    /// ignored on v2, too.
    pub memsw_max_pages: u64,
    /// How often a charge hit the limit.
    pub failcnt: u64,
    /// OOM events raised at this very level; `u64::MAX` when the kernel does not tell.
    pub oom_events: u64,
    /// 1 when all of the group is killed together.
    pub oom_group: u32,
    /// Always 0.
    pub reserved: u32,
    /// Last component of its path, ended by NUL; `/` or empty for the root.
    pub name: [u8; MAX_CGROUP_NAME],
}

impl MemoryCgroup {
    /// `oom_events` of a kernel that does not tell.
    pub const OOM_EVENTS_UNKNOWN: u64 = u64::MAX;
}

const _: () = assert!(size_of::<MemoryCgroup>() == 192);
