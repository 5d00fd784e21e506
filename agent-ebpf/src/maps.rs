//! The maps and globals of the object. Sizes and names are the abi's.

use aya_ebpf::{
    macros::map,
    maps::{LruHashMap, PerCpuArray, RingBuf},
};
use inquest_agent_abi::{
    BULK_RING_BYTES, KernelLayout, LOSS_COUNTERS, SIGNAL_ORIGINS, SignalOrigin, URGENT_RING_BYTES,
};

use crate::kernel_read::Address;

/// Overridden by the agent at load time and frozen: the verifier sees constants and drops what they rule out.
#[unsafe(no_mangle)]
pub(crate) static LAYOUT: KernelLayout = KernelLayout::UNKNOWN;

#[map]
pub(crate) static URGENT: RingBuf = RingBuf::with_byte_size(URGENT_RING_BYTES, 0);

#[map]
pub(crate) static BULK: RingBuf = RingBuf::with_byte_size(BULK_RING_BYTES, 0);

#[map]
pub(crate) static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(LOSS_COUNTERS, 0);

/// Where the last signal of each number to each process came from, by [`origin_key`].
#[map]
pub(crate) static ORIGINS: LruHashMap<u64, SignalOrigin> =
    LruHashMap::with_max_entries(SIGNAL_ORIGINS, 0);

/// The task that a thread of the kernel's OOM killer has just sent SIGKILL, by that thread.
#[map]
pub(crate) static OOM_VICTIMS: LruHashMap<u64, Address> = LruHashMap::with_max_entries(256, 0);

/// Returns the key of the origin of `signal` to the process `pid`.
#[inline(always)]
pub(crate) fn origin_key(pid: u32, signal: u32) -> u64 {
    (u64::from(pid) << 32) | u64::from(signal)
}
