//! Signals as the engine reads them; field meanings are those of `proto/inquest/v1/signal.proto`.
//! Must not be serialized: the wire has its own types.

use super::{NodeName, Timestamp};

/// Unique for ever, as the agent gave it.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SignalId(pub String);

/// One normalized observation about one subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signal {
    pub id: SignalId,
    pub node: NodeName,
    pub observed_at: Timestamp,
    /// Kernel monotonic time; 0 where the source has none.
    pub ktime_ns: u64,
    pub subject: Subject,
    pub body: SignalBody,
}

/// Whom a signal is about; what is not known is absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subject {
    pub cgroup: Option<Cgroup>,
    pub container: Option<Container>,
    pub pod_uid: Option<String>,
    pub process: Option<Process>,
}

/// A control group; the id is unique within its hierarchy only.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Cgroup {
    pub id: u64,
    /// 0 is cgroup v2, others are v1 hierarchies.
    pub hierarchy: u32,
    /// Absent when the agent could not resolve the id.
    pub path: Option<String>,
}

/// A container by its runtime's id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Container {
    pub id: String,
    pub runtime: Runtime,
}

/// Which runtime a cgroup path speaks of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Runtime {
    Containerd,
    CriO,
    Docker,
    Podman,
    Other,
}

/// A process of one boot: pid and start time together name it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Process {
    pub pid: u32,
    /// 0 when unknown.
    pub start_ktime_ns: u64,
    pub comm: String,
    /// In its own pid namespace; 0 when unknown.
    pub namespace_pid: u32,
    /// Process 1 of a pid namespace below the node's.
    pub container_init: bool,
    /// 0 when unknown.
    pub parent_pid: u32,
}

/// What was observed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignalBody {
    OomKill(OomKill),
    ProcessExit(ProcessExit),
    ProcessExec {
        filename: String,
    },
    FatalSignal(FatalSignal),
    CoverageGap {
        start: Timestamp,
        end: Timestamp,
        reason: GapReason,
    },
    /// A kind that this version does not know; kept and counted, never judged.
    Unknown,
}

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

/// The last thread of a process ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ProcessExit {
    pub code: u32,
    /// 0 for none.
    pub signal: u32,
    pub core_dumped: bool,
}

/// Who sent a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignalOrigin {
    Kernel,
    User,
    Fault,
    Unknown,
}

/// A signal that ended its target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FatalSignal {
    pub signal: u32,
    /// `si_code` as in sigaction(2).
    pub code: i32,
    pub origin: SignalOrigin,
    pub sender: Option<Process>,
    pub sender_cgroup: Option<Cgroup>,
    pub fault_address: Option<u64>,
}

/// Why an agent was not watching.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GapReason {
    AgentRestarted,
    AgentStopped,
    NodeRebooted,
    Unknown,
}
