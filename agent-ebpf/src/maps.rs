//! The maps and globals of the object. Sizes and names are the abi's.

mod block;
mod denial;
mod network;
mod syscall;

use aya_ebpf::{
    helpers::bpf_get_current_pid_tgid,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use inquest_agent_abi::{
    BULK_RING_BYTES, Counted, DAEMONS as MAX_DAEMONS, DROPS as MAX_DROPS, DropCount, DropKey,
    FLOWS as MAX_FLOWS, FlowCounts, FlowKey, KernelLayout, LISTENERS as MAX_LISTENERS, ListenerKey,
    LossCounts, Meters, OOM_VICTIMS as MAX_OOM_VICTIMS, OTHER_FLOWS as MAX_OTHER_FLOWS,
    OtherFlowsKey, RATES as MAX_RATES, RateKey, SHED as MAX_SHED, SIGNAL_ORIGINS,
    SOCKET_OWNERS as MAX_SOCKET_OWNERS, SignalOrigin, SocketOwner, ThreadWait, URGENT_RING_BYTES,
    WAIT_THREADS, WAIT_TOTALS, WATCHED_CGROUPS, WaitKey, WaitTotal, WatchedCgroup,
};

use crate::kernel_read::Address;

pub(crate) use block::{BLOCK_IO, BLOCK_REQUESTS};
pub(crate) use denial::{CAPABILITY_CHECKS, DENIALS};
pub(crate) use network::{ICMP_ERRORS, NEIGHBOR_FAILURES, SOCKET_DROPS};
pub(crate) use syscall::{
    CALL_SCRATCH, FAILURES, FORKS_REFUSED, FORKS_SCRATCH, LAST_WORDS, MOUNT_WALK, NO_WORDS,
    SYSCALL_POLICY,
};

/// Overridden by the agent at load time and frozen: the verifier sees constants and drops what they rule out.
#[unsafe(no_mangle)]
pub(crate) static LAYOUT: KernelLayout = KernelLayout::UNKNOWN;

#[map]
pub(crate) static URGENT: RingBuf = RingBuf::with_byte_size(URGENT_RING_BYTES, 0);

#[map]
pub(crate) static BULK: RingBuf = RingBuf::with_byte_size(BULK_RING_BYTES, 0);

#[map]
pub(crate) static LOST: PerCpuArray<LossCounts> = PerCpuArray::with_max_entries(1, 0);

/// When each cgroup will have given back all records of a kind that it has caused.
#[map]
pub(crate) static RATES: LruHashMap<RateKey, u64> = LruHashMap::with_max_entries(MAX_RATES, 0);

/// Records beyond a cgroup's rate.
#[map]
pub(crate) static SHED: HashMap<RateKey, u64> = HashMap::with_max_entries(MAX_SHED, 0);

/// In which generation each of the counting maps is.
#[map]
pub(crate) static GENERATIONS: Array<u32> = Array::with_max_entries(Counted::COUNT, 0);

/// What found no room in each of the counting maps.
#[map]
pub(crate) static UNCOUNTED: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counted::COUNT, 0);

#[map]
pub(crate) static DROPS: HashMap<DropKey, DropCount> = HashMap::with_max_entries(MAX_DROPS, 0);

/// How often each probe ran and what that took.
#[map]
pub(crate) static METERS: PerCpuArray<Meters> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub(crate) static FLOWS: HashMap<FlowKey, FlowCounts> = HashMap::with_max_entries(MAX_FLOWS, 0);

/// Connections to peers that [`FLOWS`] has no room for.
#[map]
pub(crate) static OTHER_FLOWS: HashMap<OtherFlowsKey, u64> =
    HashMap::with_max_entries(MAX_OTHER_FLOWS, 0);

/// Who made a socket connect or listen, by its address.
#[map]
pub(crate) static SOCKET_OWNERS: LruHashMap<Address, SocketOwner> =
    LruHashMap::with_max_entries(MAX_SOCKET_OWNERS, 0);

/// Who listens where.
#[map]
pub(crate) static LISTENERS: LruHashMap<ListenerKey, SocketOwner> =
    LruHashMap::with_max_entries(MAX_LISTENERS, 0);

/// Where the last signal of each number to each process came from, by [`origin_key`].
#[map]
pub(crate) static ORIGINS: LruHashMap<u64, SignalOrigin> =
    LruHashMap::with_max_entries(SIGNAL_ORIGINS, 0);

/// The tasks that the kernel has just sent SIGKILL, by [`oom_victim_key`].
#[map]
pub(crate) static OOM_VICTIMS: LruHashMap<u64, Address> =
    LruHashMap::with_max_entries(MAX_OOM_VICTIMS, 0);

/// The node's daemons by process id, with nothing for each: the agent knows them by name.
#[map]
pub(crate) static DAEMONS: HashMap<u32, u32> = HashMap::with_max_entries(MAX_DAEMONS, 0);

/// The cgroups whose threads are watched.
#[map]
pub(crate) static WATCHED: HashMap<u64, WatchedCgroup> =
    HashMap::with_max_entries(WATCHED_CGROUPS, 0);

/// What each thread of a watched cgroup is doing, by its id.
#[map]
pub(crate) static THREADS: LruHashMap<u32, ThreadWait> =
    LruHashMap::with_max_entries(WAIT_THREADS, 0);

/// Where their time went.
#[map]
pub(crate) static WAITS: HashMap<WaitKey, WaitTotal> = HashMap::with_max_entries(WAIT_TOTALS, 0);

/// Returns the key of thread `victim` as a victim of the current thread: not of the latter alone, since an
/// interrupt may send one of its own.
#[inline(always)]
pub(crate) fn oom_victim_key(victim: u32) -> u64 {
    (bpf_get_current_pid_tgid() << 32) | u64::from(victim)
}

/// Returns the key of the origin of `signal` to the process `pid`.
#[inline(always)]
pub(crate) fn origin_key(pid: u32, signal: u32) -> u64 {
    (u64::from(pid) << 32) | u64::from(signal)
}
