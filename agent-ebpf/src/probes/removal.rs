//! Hook `cgroup:cgroup_rmdir`: cgroups that are gone, and with them a container's last trace. Kernel 5.10 and later; on
//! v1 it fires once for each hierarchy and all but one are dropped. Some 5 reads. Emits `CgroupRemoved`, bulk.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{CgroupRemoved, Lane, Meter, RecordKind};

use crate::{
    emit::emit,
    kernel_read::{Arguments, CgroupPtr, TracepointFields, layout},
    maps::LAYOUT,
    meter::metered,
};

const METER: Meter = Meter::CGROUP_RMDIR;

#[btf_tracepoint(function = "cgroup_rmdir")]
pub(crate) fn removal_tp_btf(ctx: BtfTracePointContext) -> i32 {
    let id = metered(METER, || try_removal(Arguments::of(&ctx)));
    probe_log!(&ctx, "cgroup {} removed", id);
    0
}

#[raw_tracepoint(tracepoint = "cgroup_rmdir")]
pub(crate) fn removal_raw_tp(ctx: RawTracePointContext) -> i32 {
    let id = metered(METER, || try_removal(Arguments::of(&ctx)));
    probe_log!(&ctx, "cgroup {} removed", id);
    0
}

/// The record has the fields of `cgroup_mkdir`'s: the kernel declares both as one class.
#[tracepoint(category = "cgroup", name = "cgroup_rmdir")]
pub(crate) fn removal_tracepoint(ctx: TracePointContext) -> u32 {
    let fields = TracepointFields::of(&ctx);
    let id = fields.get(&LAYOUT.tracepoint.cgroup_mkdir_id);
    metered(METER, || {
        record(id, fields.get(&LAYOUT.tracepoint.cgroup_mkdir_root))
    });
    probe_log!(&ctx, "cgroup {} removed", id);
    0
}

/// Returns the id of the cgroup.
#[inline(always)]
fn try_removal(arguments: Arguments) -> u64 {
    let cgroup = CgroupPtr::at(arguments.get(0));
    let id = cgroup.id();
    record(id, cgroup.hierarchy());
    id
}

#[inline(always)]
fn record(id: u64, hierarchy: u32) {
    if hierarchy != layout(&LAYOUT.identity_hierarchy) {
        return;
    }
    // SAFETY: a `CgroupRemoved` is what the kind says; every field is written.
    unsafe {
        emit(
            Lane::Bulk,
            RecordKind::CGROUP_REMOVED,
            |record: *mut CgroupRemoved| {
                (*record).id = id;
                (*record).hierarchy = hierarchy;
                (*record).reserved = 0;
            },
        );
    }
}
