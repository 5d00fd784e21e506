//! Limits the records that one cgroup causes where they arise: what is shed here costs neither room in a ring nor time
//! in the agent. Counts what it sheds.

use aya_ebpf::{bindings::BPF_RB_AVAIL_DATA, helpers::generated::bpf_ktime_get_ns};
use inquest_agent_abi::{Counted, Lane, Rate, RateKey, RecordKind, URGENT_RING_BYTES, shed_index};

use crate::{
    count::{add, entry, generation},
    maps::{LOST, RATES, SHED, URGENT},
};

/// Returns whether `cgroup` may cause one more record, and takes note of it; counts the record as shed if not.
///
/// Two CPUs that ask at once may get one for the price of one too many: limits hold on average.
#[inline(always)]
pub(crate) fn admit(lane: Lane, kind: RecordKind, cgroup: u64) -> bool {
    let admitted = take(lane, kind, cgroup);
    if !admitted {
        shed(lane, kind, cgroup);
    }
    admitted
}

#[inline(always)]
fn take(lane: Lane, kind: RecordKind, cgroup: u64) -> bool {
    let rate = Rate::of(lane, kind);
    let cost = rate.ns_per_record();
    let key = RateKey {
        cgroup,
        kind,
        lane: lane as u16,
        generation: 0,
    };
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let Some(full_at) = RATES.get_ptr_mut(key) else {
        // The least recently used are forgotten; where there is no room for once, nothing is limited.
        let _remembered = RATES.insert(key, now + cost, 0);
        return true;
    };
    // SAFETY: the entry stays valid while the program runs, and a word is written at once.
    let full_at = unsafe { &mut *full_at };
    // When all would be given back again, if one more were taken.
    let next = (*full_at).max(now) + cost;
    if next - now > burst(lane, rate) * cost {
        return false;
    }
    *full_at = next;
    true
}

/// Returns what a cgroup may have at once now.
#[inline(always)]
fn burst(lane: Lane, rate: Rate) -> u64 {
    let crowded = matches!(lane, Lane::Urgent)
        && URGENT.query(u64::from(BPF_RB_AVAIL_DATA)) > u64::from(URGENT_RING_BYTES / 2);
    if crowded {
        Rate::RESERVE_BURST
    } else {
        rate.burst
    }
}

#[inline(always)]
fn shed(lane: Lane, kind: RecordKind, cgroup: u64) {
    let key = RateKey {
        cgroup,
        kind,
        lane: lane as u16,
        generation: generation(Counted::Shed) as u16,
    };
    if let Some(count) = entry(&SHED, &key, &0) {
        // SAFETY: a word in a map.
        unsafe { add(count, 1) };
    } else if let Some(count) = LOST.get_ptr_mut(0) {
        // Too many cgroups are limited at once to tell them apart.
        // SAFETY: the value is this CPU's, and the index below its length.
        unsafe {
            add(
                (&raw mut (*count).0)
                    .cast::<u64>()
                    .add(shed_index(lane, kind)),
                1,
            )
        };
    }
}
