//! Writes records into their lane, or counts that they found no room.

use aya_ebpf::{
    bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_ktime_get_ns,
};
use inquest_agent_abi::{Lane, RecordHeader, RecordKind, loss_index};

use crate::{
    count::add,
    maps::{BULK, LOST, URGENT},
    rate::admit,
};

/// As [`emit`], unless `cgroup` has caused as many records of `kind` as it may.
///
/// # Safety
///
/// As for [`emit`].
#[inline(always)]
pub(crate) unsafe fn emit_within_rate<R: 'static>(
    lane: Lane,
    kind: RecordKind,
    cgroup: u64,
    fill: impl FnOnce(*mut R),
) {
    if admit(lane, kind, cgroup) {
        // SAFETY: as promised by the caller.
        unsafe { emit(lane, kind, fill) };
    }
}

/// Reserves a record of `kind` in `lane`, has `fill` write everything but its header, and submits it.
///
/// # Safety
///
/// `R` starts with a [`RecordHeader`] and is what `kind` stands for. `fill` writes each of the other
/// fields that the agent reads: the memory holds an older record.
#[inline(always)]
pub(crate) unsafe fn emit<R: 'static>(lane: Lane, kind: RecordKind, fill: impl FnOnce(*mut R)) {
    let (ring, wakeup) = match lane {
        Lane::Urgent => (&URGENT, BPF_RB_FORCE_WAKEUP),
        Lane::Bulk => (&BULK, BPF_RB_NO_WAKEUP),
    };
    let Some(mut record) = ring.reserve::<R>(0) else {
        count_loss(lane, kind);
        return;
    };
    let record_ptr = record.as_mut_ptr();
    // SAFETY: the reservation is `R`-sized, 8-byte aligned, ours until submitted, and starts with a header.
    unsafe {
        record_ptr.cast::<RecordHeader>().write(RecordHeader {
            kind,
            reserved: 0,
            ktime_ns: bpf_ktime_get_ns(),
        });
    }
    fill(record_ptr);
    record.submit(u64::from(wakeup));
}

#[inline(always)]
fn count_loss(lane: Lane, kind: RecordKind) {
    if let Some(counts) = LOST.get_ptr_mut(0) {
        // SAFETY: the value is this CPU's, and the index below its length; of two programs that interrupt one
        // another, both count.
        unsafe {
            let count = (&raw mut (*counts).0)
                .cast::<u64>()
                .add(loss_index(lane, kind));
            add(count, 1);
        }
    }
}
