//! The records that the kernel programs write and the agent reads, and the layout of the kernel that
//! the agent hands to them.
//!
//! Depends on nothing (except `aya`, for its `Pod` marker, behind feature `user`). Every type is
//! `#[repr(C)]`, `Copy`, without implicit padding, and of a size asserted at compile time. Text fields
//! end at their first NUL byte; what follows it is undefined.
#![no_std]
#![cfg_attr(not(feature = "user"), forbid(unsafe_code))]

mod block;
mod cgroup;
mod counted;
mod denial;
mod dns;
mod drop;
mod exec;
mod exit;
mod header;
mod icmp;
mod layout;
mod limits;
mod loss;
mod mark;
mod meter;
mod neighbor;
mod oom;
mod process;
mod rate;
mod signal;
mod socket_drop;
mod syscall;
mod tcp;
mod wait;

pub use block::{BlockIoCount, BlockIoKey, BlockRequest};
pub use cgroup::{CgroupCreated, CgroupRemoved};
pub use counted::{Counted, Generation};
pub use denial::{CAPABILITY_CHECKS, CapabilityCheck, DENIALS, DenialKey, Refuser, Requirement};
pub use dns::{DNS_PORT, DnsMessage, MAX_DNS_MESSAGE};
pub use drop::{DropCount, DropKey};
pub use exec::ProcessExec;
pub use exit::ProcessExit;
pub use header::{RecordHeader, RecordKind};
pub use icmp::{IcmpCount, IcmpKey};
pub use layout::{
    BlockLayout, CgroupLayout, DropLayout, FileLayout, KernelLayout, MemoryLayout, NeighborLayout,
    Offset, PacketLayout, PidsLayout, ProcessLayout, SignalLayout, SocketLayout, SyscallLayout,
    TaskLayout, TcpLayout, TracepointLayout, WaitLayout,
};
pub use limits::{
    BLOCK_IO, BLOCK_REQUESTS, BULK_RING_BYTES, DAEMONS, DROPS, FLOWS, ICMP_ERRORS, LISTENERS,
    MAX_CGROUP_LEVELS, MAX_CGROUP_NAME, MAX_CGROUP_PATH, MAX_COMM, MAX_FILENAME,
    MAX_INTERFACE_NAME, MAX_PIDS_LEVELS, NEIGHBOR_FAILURES, OOM_VICTIMS, OTHER_FLOWS, RATES, SHED,
    SIGNAL_ORIGINS, SOCKET_DROPS, SOCKET_OWNERS, URGENT_RING_BYTES, WAIT_THREADS, WAIT_TOTALS,
    WATCHED_CGROUPS,
};
pub use loss::{Lane, LossCounts, loss_index, shed_index};
pub use mark::{ABI_MARK, ABI_MARK_PREFIX};
pub use meter::{MAX_METERS, Meter, MeterReading, Meters, TIMED_RUN_OF};
pub use neighbor::{NeighborCount, NeighborKey};
pub use oom::{MemoryCgroup, OomKill, ResidentPages};
pub use process::{CgroupIds, Process};
pub use rate::{Rate, RateKey};
pub use signal::{SYS_SECCOMP, SignalOrigin, SignalSource};
pub use socket_drop::SocketDropKey;
pub use syscall::{
    Argument, COMPAT_CALL, Errnos, ExecFailed, FAILURE_COUNTS, FailedCall, FailureKey, LAST_WORDS,
    LastWords, MAX_ARGUMENT, MAX_CALLS, MAX_CALLS_OF_INTEREST, MAX_ERRNO, MAX_FORK_CALLS,
    MAX_LAST_WORDS, PidsLevel, REFUSED_FORKS, RefusedForks, RefusedForksKey, SyscallPolicy,
    UNKNOWN_CALL,
};
pub use tcp::{FlowCounts, FlowKey, ListenerKey, OtherFlowsKey, SocketOwner};
pub use wait::{
    SuspectThread, ThreadWait, WaitKey, WaitKind, WaitPeer, WaitReason, WaitTotal, WatchedCgroup,
};

/// Names by which the agent finds maps and globals in the object.
pub mod names {
    /// The `KernelLayout` global.
    pub const LAYOUT: &str = "LAYOUT";
    /// Ring buffer of OOM kills, signal deaths and ends of container inits.
    pub const URGENT: &str = "URGENT";
    /// Ring buffer of everything else.
    pub const BULK: &str = "BULK";
    /// Per-CPU array of one [`crate::LossCounts`].
    pub const LOST: &str = "LOST";
    /// Array of the present generation of each [`crate::Counted`] map.
    pub const GENERATIONS: &str = "GENERATIONS";
    /// Per-CPU array of what found no room in each [`crate::Counted`] map.
    pub const UNCOUNTED: &str = "UNCOUNTED";
    /// Hash of `DropKey` to `DropCount`.
    pub const DROPS: &str = "DROPS";
    /// Hash of `SocketDropKey` to `u64`.
    pub const SOCKET_DROPS: &str = "SOCKET_DROPS";
    /// Hash of `IcmpKey` to `IcmpCount`.
    pub const ICMP_ERRORS: &str = "ICMP_ERRORS";
    /// Hash of `NeighborKey` to `NeighborCount`.
    pub const NEIGHBOR_FAILURES: &str = "NEIGHBOR_FAILURES";
    /// Hash of [`crate::BlockIoCount`] by [`crate::BlockIoKey`].
    pub const BLOCK_IO: &str = "BLOCK_IO";
    /// Hash of the process ids of the node's daemons, with nothing for each.
    pub const DAEMONS: &str = "DAEMONS";
    /// Hash of [`crate::WatchedCgroup`] by cgroup id.
    pub const WATCHED: &str = "WATCHED";
    /// LRU hash of [`crate::ThreadWait`] by thread id.
    pub const THREADS: &str = "THREADS";
    /// Hash of [`crate::WaitTotal`] by [`crate::WaitKey`].
    pub const WAITS: &str = "WAITS";
    /// The `SyscallPolicy` global.
    pub const SYSCALL_POLICY: &str = "SYSCALL_POLICY";
    /// Per-CPU hash of `u64` by `FailureKey`.
    pub const FAILURES: &str = "FAILURES";
    /// Hash of `RefusedForks` by `RefusedForksKey`.
    pub const FORKS_REFUSED: &str = "FORKS_REFUSED";
    /// Hash of `LastWords` by cgroup id.
    pub const LAST_WORDS: &str = "LAST_WORDS";
    /// Hash of `u64` by [`crate::RateKey`]: records that were beyond a rate.
    pub const SHED: &str = "SHED";
    /// LRU hash of when a cgroup has given back all records of a kind, by [`crate::RateKey`].
    pub const RATES: &str = "RATES";
    /// LRU hash of [`crate::SocketOwner`] by the address of a socket.
    pub const SOCKET_OWNERS: &str = "SOCKET_OWNERS";
    /// LRU hash of [`crate::SocketOwner`] by [`crate::ListenerKey`].
    pub const LISTENERS: &str = "LISTENERS";
    /// LRU hash of [`crate::SignalOrigin`] by process and signal.
    pub const ORIGINS: &str = "ORIGINS";
    /// LRU hash of addresses of tasks by who sent them SIGKILL.
    pub const OOM_VICTIMS: &str = "OOM_VICTIMS";
    /// LRU hash of [`crate::BlockRequest`] by what tells one from another.
    pub const BLOCK_REQUESTS: &str = "BLOCK_REQUESTS";
    /// Per-CPU array of one [`crate::Meters`].
    pub const METERS: &str = "METERS";
    /// Hash of `FlowKey` to `FlowCounts`.
    pub const FLOWS: &str = "FLOWS";
    /// Hash of `OtherFlowsKey` to `u64`.
    pub const OTHER_FLOWS: &str = "OTHER_FLOWS";
    /// Per-CPU hash of `u64` by `DenialKey`.
    pub const DENIALS: &str = "DENIALS";
}

/// Implements `aya::Pod` for types that the module above promises to be plain.
macro_rules! pod {
    ($($record:ty),+ $(,)?) => {$(
        // SAFETY: repr(C), no padding, every bit pattern is a valid value.
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $record {}
    )+};
}

pod!(
    BlockIoCount,
    BlockIoKey,
    BlockRequest,
    CgroupCreated,
    CgroupIds,
    CgroupRemoved,
    DenialKey,
    DnsMessage,
    DropCount,
    DropKey,
    IcmpCount,
    IcmpKey,
    NeighborCount,
    NeighborKey,
    SocketDropKey,
    ExecFailed,
    FailedCall,
    FailureKey,
    FlowCounts,
    FlowKey,
    KernelLayout,
    LastWords,
    LossCounts,
    MemoryCgroup,
    Meters,
    OomKill,
    PidsLevel,
    OtherFlowsKey,
    Process,
    ProcessExec,
    ProcessExit,
    RateKey,
    RecordHeader,
    RefusedForks,
    RefusedForksKey,
    ResidentPages,
    SignalOrigin,
    SuspectThread,
    ThreadWait,
    WaitKey,
    WaitTotal,
    WatchedCgroup,
    SyscallPolicy,
);
