//! Hook `sched:sched_process_exit`: the end of a process, told when its last thread goes. Kernel 5.10 and
//! later. One comparison for each other thread, a few reads and a look-up for a clean exit, some 50 reads for the rest.
//! Emits `ProcessExit`: urgent for a death by signal, a container's init and a daemon of the node, bulk for other failures,
//! nothing for a clean exit.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{Lane, Meter, ProcessExit, RecordKind, SYS_SECCOMP, SignalSource};

use crate::{
    emit::emit_within_rate,
    kernel_read::{Arguments, SIGNAL_MASK, SyscallPtr, TaskPtr, layout},
    maps::{DAEMONS, LAYOUT, ORIGINS, origin_key},
    meter::metered,
    probes::{SIGSYS, syscall::call_of},
};

const METER: Meter = Meter::SCHED_PROCESS_EXIT;

#[btf_tracepoint(function = "sched_process_exit")]
pub(crate) fn exit_tp_btf(ctx: BtfTracePointContext) -> i32 {
    let status = metered(METER, || try_exit(Arguments::of(&ctx)));
    probe_log!(&ctx, "exit with {}", status);
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn exit_raw_tp(ctx: RawTracePointContext) -> i32 {
    let status = metered(METER, || try_exit(Arguments::of(&ctx)));
    probe_log!(&ctx, "exit with {}", status);
    0
}

/// Runs in the exiting task, so nothing is lost on this hook.
#[tracepoint(category = "sched", name = "sched_process_exit")]
pub(crate) fn exit_tracepoint(ctx: TracePointContext) -> u32 {
    let task = TaskPtr::current();
    let status = metered(METER, || {
        if task.is_group_dead() {
            record(task)
        } else {
            0
        }
    });
    probe_log!(&ctx, "exit with {}", status);
    0
}

/// Returns the wait status of the process that ended, 0 when none did.
#[inline(always)]
fn try_exit(arguments: Arguments) -> u32 {
    let task = TaskPtr::at(arguments.get(0));
    // Without being told, two threads that go at once may both see that none is left: the agent keeps
    // the first of two equal exits.
    let dead = if layout(&LAYOUT.exit_has_group_dead) == 1 {
        arguments.get(1) as u8 != 0
    } else {
        task.is_group_dead()
    };
    if dead { record(task) } else { 0 }
}

#[inline(always)]
fn record(task: TaskPtr) -> u32 {
    let status = task.wait_status();
    let awaited = task.is_container_init() || DAEMONS.get_ptr(&task.pid()).is_some();
    if status == 0 && !awaited {
        return status;
    }
    if status & SIGNAL_MASK != 0 || awaited {
        record_in(Lane::Urgent, task, status);
    } else {
        record_in(Lane::Bulk, task, status);
    }
    status
}

#[inline(always)]
fn record_in(lane: Lane, task: TaskPtr, status: u32) {
    // SAFETY: a `ProcessExit` is what the kind says; every field is written.
    unsafe {
        emit_within_rate(
            lane,
            RecordKind::PROCESS_EXIT,
            task.identity_cgroup(),
            |record: *mut ProcessExit| {
                task.describe(&raw mut (*record).process);
                (*record).cgroups = task.cgroups();
                (*record).wait_status = status;
                (*record).reserved = 0;
                (*record).origin.source = SignalSource::UNKNOWN;
                add_origin(task, status & SIGNAL_MASK, record);
            },
        );
    }
}

/// Adds where `signal` came from, when that was seen and was meant for this process rather than for an
/// earlier one of the same pid.
///
/// # Safety
///
/// `record` is valid for writes.
#[inline(always)]
unsafe fn add_origin(task: TaskPtr, signal: u32, record: *mut ProcessExit) {
    if signal == 0 {
        return;
    }
    // SAFETY: the entry is copied at once; a concurrent writer could only be another signal of the same
    // number to this dead process.
    let Some(origin) = (unsafe { ORIGINS.get(origin_key(task.pid(), signal)) }) else {
        // SAFETY: as promised by the caller.
        unsafe { add_seccomp(task, signal, record) };
        return;
    };
    let start = origin.target_start_ktime_ns;
    if start == 0 || start == task.start_ktime_ns() {
        // SAFETY: as promised by the caller.
        unsafe { (*record).origin = *origin };
    }
}

/// Adds that a seccomp filter ended the process: kernels before 5.16 do that without raising the signal.
///
/// # Safety
///
/// `record` is valid for writes.
#[inline(always)]
unsafe fn add_seccomp(task: TaskPtr, signal: u32, record: *mut ProcessExit) {
    if signal != SIGSYS || !task.is_filtered() {
        return;
    }
    let Some(call) = SyscallPtr::rolled_back_of(task) else {
        return;
    };
    // SAFETY: as promised by the caller; who sent it is of no meaning with this source.
    unsafe {
        let origin = &raw mut (*record).origin;
        (*origin).ktime_ns = (*record).header.ktime_ns;
        (*origin).target_start_ktime_ns = task.start_ktime_ns();
        (*origin).fault_address = 0;
        (*origin).source = SignalSource::KERNEL;
        (*origin).signal = SIGSYS;
        (*origin).code = SYS_SECCOMP;
        (*origin).target_dying = 0;
        (*origin).target_parent_pid = 0;
        (*origin).call = call_of(call.number().into());
    }
}
