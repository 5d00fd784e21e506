//! The kernel's OOM kills. Must not say whether a kill was the program's fault.

use super::Process;

/// Where the memory ran out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OomScope {
    Memcg,
    Global,
    Unknown,
}

/// The kernel's OOM killer chose and killed a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OomKill {
    pub scope: OomScope,
    /// From the victim's own memory cgroup up to the root.
    pub chain: Vec<MemoryCgroup>,
    /// Index in `chain` of the lowest level at its limit; always in range.
    pub limiting: Option<usize>,
    pub victim_usage: MemoryUsage,
    pub oom_score_adj: i32,
    pub trigger: Option<Process>,
    pub cgroup_stat: Option<CgroupMemoryStat>,
    /// Largest first.
    pub top_processes: Vec<ProcessMemory>,
}

/// One level of the victim's memory-cgroup chain at the kill.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemoryCgroup {
    pub id: u64,
    pub name: String,
    pub usage_bytes: u64,
    /// Absent: no limit.
    pub max_bytes: Option<u64>,
    pub failcnt: u64,
    pub oom_events: Option<u64>,
    pub oom_group: bool,
}

/// What the victim itself held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MemoryUsage {
    pub anon_bytes: u64,
    pub file_bytes: u64,
    pub shmem_bytes: u64,
    pub swap_bytes: u64,
}

/// What the limiting cgroup held just after the kill.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CgroupMemoryStat {
    pub anon_bytes: u64,
    pub file_bytes: u64,
    pub shmem_bytes: u64,
    pub kernel_bytes: u64,
    pub read_after_ns: u64,
}

/// A process by its resident memory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProcessMemory {
    pub pid: u32,
    pub comm: String,
    pub rss_bytes: u64,
}
