//! Hook `cgroup:cgroup_mkdir`: new cgroups, so that one which is gone before it is looked up has a name.
//! Kernel 5.10 and later; on v1 it fires once for each hierarchy and all but one are dropped. Some 5 reads.
//! Emits `CgroupCreated`, bulk.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{CgroupCreated, Lane, Meter, RecordKind};

use crate::{
    emit::emit,
    kernel_read::{Address, Arguments, CgroupPtr, TracepointFields, layout, read_text},
    maps::LAYOUT,
    meter::metered,
};

const METER: Meter = Meter::CGROUP_MKDIR;

#[btf_tracepoint(function = "cgroup_mkdir")]
pub(crate) fn cgroup_tp_btf(ctx: BtfTracePointContext) -> i32 {
    let id = metered(METER, || try_cgroup(Arguments::of(&ctx)));
    probe_log!(&ctx, "new cgroup {}", id);
    0
}

#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
pub(crate) fn cgroup_raw_tp(ctx: RawTracePointContext) -> i32 {
    let id = metered(METER, || try_cgroup(Arguments::of(&ctx)));
    probe_log!(&ctx, "new cgroup {}", id);
    0
}

#[tracepoint(category = "cgroup", name = "cgroup_mkdir")]
pub(crate) fn cgroup_tracepoint(ctx: TracePointContext) -> u32 {
    let fields = TracepointFields::of(&ctx);
    let id = fields.get(&LAYOUT.tracepoint.cgroup_mkdir_id);
    let hierarchy = fields.get(&LAYOUT.tracepoint.cgroup_mkdir_root);
    metered(METER, || {
        let path = fields.text(&LAYOUT.tracepoint.cgroup_mkdir_path);
        record(id, hierarchy, path);
    });
    probe_log!(&ctx, "new cgroup {}", id);
    0
}

/// Returns the id of the new cgroup.
#[inline(always)]
fn try_cgroup(arguments: Arguments) -> u64 {
    let cgroup = CgroupPtr::at(arguments.get(0));
    let id = cgroup.id();
    record(id, cgroup.hierarchy(), arguments.get(1));
    id
}

#[inline(always)]
fn record(id: u64, hierarchy: u32, path: Address) {
    if hierarchy != layout(&LAYOUT.identity_hierarchy) {
        return;
    }
    // SAFETY: a `CgroupCreated` is what the kind says; every field is written.
    unsafe {
        emit(
            Lane::Bulk,
            RecordKind::CGROUP_CREATED,
            |record: *mut CgroupCreated| {
                (*record).id = id;
                (*record).hierarchy = hierarchy;
                (*record).reserved = 0;
                read_text(path, &raw mut (*record).path);
            },
        );
    }
}
