//! Hook `sched:sched_process_exec`: each successful execve. Kernel 5.10 and later. Some 28 reads an
//! execution. Emits `ProcessExec`, bulk.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{Lane, Meter, ProcessExec, RecordKind};

use crate::{
    emit::emit_within_rate,
    kernel_read::{Address, Arguments, TaskPtr, TracepointFields, read, read_text},
    maps::LAYOUT,
    meter::metered,
};

const METER: Meter = Meter::SCHED_PROCESS_EXEC;

#[btf_tracepoint(function = "sched_process_exec")]
pub(crate) fn exec_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(METER, || try_exec(Arguments::of(&ctx)));
    probe_log!(&ctx, "exec by {}", TaskPtr::current().pid());
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn exec_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(METER, || try_exec(Arguments::of(&ctx)));
    probe_log!(&ctx, "exec by {}", TaskPtr::current().pid());
    0
}

/// Runs in the task that executes, so nothing is lost on this hook.
#[tracepoint(category = "sched", name = "sched_process_exec")]
pub(crate) fn exec_tracepoint(ctx: TracePointContext) -> u32 {
    let fields = TracepointFields::of(&ctx);
    metered(METER, || {
        let filename = fields.text(&LAYOUT.tracepoint.sched_process_exec_filename);
        record(TaskPtr::current(), filename);
    });
    probe_log!(&ctx, "exec by {}", TaskPtr::current().pid());
    0
}

#[inline(always)]
fn try_exec(arguments: Arguments) {
    let task = TaskPtr::at(arguments.get(0));
    let binprm = arguments.get(2);
    record(task, read(binprm, &LAYOUT.binprm_filename));
}

#[inline(always)]
fn record(task: TaskPtr, filename: Address) {
    // SAFETY: a `ProcessExec` is what the kind says; every field is written.
    unsafe {
        emit_within_rate(
            Lane::Bulk,
            RecordKind::PROCESS_EXEC,
            task.identity_cgroup(),
            |record: *mut ProcessExec| {
                task.describe(&raw mut (*record).process);
                (*record).cgroups = task.cgroups();
                (*record).netns = task.netns().inode();
                (*record).reserved = 0;
                read_text(filename, &raw mut (*record).filename);
            },
        );
    }
}
