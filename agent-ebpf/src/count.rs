//! Counts in maps that the agent empties once a second (`abi::Counted`): what happens too often for a record each.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    maps::{HashMap, PerCpuHashMap},
};
use inquest_agent_abi::Counted;

use crate::maps::{GENERATIONS, UNCOUNTED};

/// Adds `by` to a counter that other CPUs count in, too.
///
/// # Safety
///
/// `counter` is valid, aligned, and in a map.
#[inline(always)]
pub(crate) unsafe fn add(counter: *mut u64, by: u64) {
    // SAFETY: as promised by the caller. What it was before is not asked for: kernels before 5.12 could not tell.
    unsafe {
        core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(
            counter, by,
        );
    }
}

/// Returns the generation that a key of `map` is to carry now.
#[inline(always)]
pub(crate) fn generation(map: Counted) -> u32 {
    // SAFETY: the agent alone writes it, a word at a time.
    GENERATIONS.get(map as u32).copied().unwrap_or_default()
}

/// Returns the value of `key`, made of `zero` if there was none; `None` when the map is full.
#[inline(always)]
pub(crate) fn entry<K, V>(map: &HashMap<K, V>, key: &K, zero: &V) -> Option<*mut V> {
    if let Some(value) = map.get_ptr_mut(key) {
        return Some(value);
    }
    // Another CPU may be first; either way it is there, unless there is no room.
    let _inserted = map.insert(key, zero, u64::from(BPF_NOEXIST));
    map.get_ptr_mut(key)
}

/// Counts one of `key` on this CPU.
#[inline(always)]
pub(crate) fn count_here<K>(map: &PerCpuHashMap<K, u64>, key: &K, which: Counted) {
    // The second time, another CPU has made the entry meanwhile.
    for _ in 0..2 {
        if let Some(count) = map.get_ptr_mut(key) {
            // SAFETY: the value is this CPU's; the agent removes none of the present generation.
            unsafe { *count += 1 };
            return;
        }
        if map.insert(key, 1, u64::from(BPF_NOEXIST)).is_ok() {
            return;
        }
    }
    uncounted(which);
}

/// Counts that what was to be counted in `map` found no room.
#[inline(always)]
pub(crate) fn uncounted(map: Counted) {
    if let Some(counter) = UNCOUNTED.get_ptr_mut(map as u32) {
        // SAFETY: the slot is this CPU's; of two programs that interrupt one another, both count.
        unsafe { add(counter, 1) };
    }
}
