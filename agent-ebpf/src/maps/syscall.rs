//! The maps and globals of failed system calls.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, PerCpuArray, PerCpuHashMap},
};
use inquest_agent_abi::{
    FAILURE_COUNTS, FailedCall, FailureKey, LAST_WORDS as MAX_CGROUPS, LastWords,
    MAX_CALLS_OF_INTEREST, MAX_FORK_CALLS, REFUSED_FORKS, RefusedForks, RefusedForksKey,
    SyscallPolicy,
};

use crate::kernel_read::MountWalk;

/// Overridden by the agent at load time and frozen.
#[unsafe(no_mangle)]
pub(crate) static SYSCALL_POLICY: SyscallPolicy = SyscallPolicy::NONE;

#[map]
pub(crate) static FAILURES: PerCpuHashMap<FailureKey, u64> =
    PerCpuHashMap::with_max_entries(FAILURE_COUNTS, 0);

#[map]
pub(crate) static FORKS_REFUSED: HashMap<RefusedForksKey, RefusedForks> =
    HashMap::with_max_entries(REFUSED_FORKS, 0);

/// Not one that makes room by itself: before Linux 6.16 such a map hands out entries to CPUs by 128 at a time, so that on
/// the seventh CPU of these it would forget a living cgroup for each new one.
#[map]
pub(crate) static LAST_WORDS: HashMap<u64, LastWords> = HashMap::with_max_entries(MAX_CGROUPS, 0);

/// Never written: what a cgroup's last words start as, too large for the stack.
#[map]
pub(crate) static NO_WORDS: Array<LastWords> = Array::with_max_entries(1, 0);

/// Where a call is put together, each in its place.
#[map]
pub(crate) static CALL_SCRATCH: PerCpuArray<FailedCall> =
    PerCpuArray::with_max_entries(MAX_CALLS_OF_INTEREST as u32, 0);

/// See [`MountWalk`]; each call's in its place.
#[map]
pub(crate) static MOUNT_WALK: PerCpuArray<MountWalk> =
    PerCpuArray::with_max_entries(MAX_CALLS_OF_INTEREST as u32, 0);

/// Where refused forks are put together, each call's in its place.
#[map]
pub(crate) static FORKS_SCRATCH: PerCpuArray<RefusedForks> =
    PerCpuArray::with_max_entries(MAX_FORK_CALLS as u32, 0);
