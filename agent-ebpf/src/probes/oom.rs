//! Hook `oom:mark_victim`: each process that the OOM killer kills, group kills included, and threads that may
//! use memory reserves because they are dying already, told apart by `was_dying`. Runs in the task
//! whose allocation could not be served. Kernel 5.10 and later; older ones name the victim by pid, which
//! the SIGKILL just before resolves (see `signal.rs`). Some 150 reads a kill, nothing otherwise.
//! Emits `OomKill`, urgent.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{
    CgroupIds, Lane, MAX_CGROUP_LEVELS, MAX_COMM, Meter, OomKill, Process, RecordKind,
    ResidentPages, SignalSource,
};

use crate::{
    emit::{emit, emit_within_rate},
    kernel_read::{Arguments, TaskPtr, TracepointFields, layout},
    maps::{LAYOUT, OOM_VICTIMS, ORIGINS, oom_victim_key, origin_key},
    meter::metered,
    probes::SIGKILL,
};

const METER: Meter = Meter::MARK_VICTIM;

#[btf_tracepoint(function = "mark_victim")]
pub(crate) fn oom_tp_btf(ctx: BtfTracePointContext) -> i32 {
    let victim = metered(METER, || try_oom(Arguments::of(&ctx)));
    probe_log!(&ctx, "oom kill of {}", victim);
    0
}

#[raw_tracepoint(tracepoint = "mark_victim")]
pub(crate) fn oom_raw_tp(ctx: RawTracePointContext) -> i32 {
    let victim = metered(METER, || try_oom(Arguments::of(&ctx)));
    probe_log!(&ctx, "oom kill of {}", victim);
    0
}

#[tracepoint(category = "oom", name = "mark_victim")]
pub(crate) fn oom_tracepoint(ctx: TracePointContext) -> u32 {
    let pid = TracepointFields::of(&ctx).get(&LAYOUT.tracepoint.mark_victim_pid);
    metered(METER, || record_by_pid(pid));
    probe_log!(&ctx, "oom kill of {}", pid);
    0
}

/// Returns the victim's pid.
#[inline(always)]
fn try_oom(arguments: Arguments) -> u32 {
    if layout(&LAYOUT.mark_victim_has_task) == 1 {
        let victim = TaskPtr::at(arguments.get(0));
        record_task(victim);
        victim.pid()
    } else {
        let pid = arguments.get(0) as u32;
        record_by_pid(pid);
        pid
    }
}

/// Records the victim whose thread `pid` is.
#[inline(always)]
fn record_by_pid(pid: u32) {
    match find_victim(pid) {
        Some(victim) => record_task(victim),
        None => record_pid(pid),
    }
}

/// Finds the task of thread `pid`: the one that this thread has just sent SIGKILL, or itself when it
/// was dying already and only needs access to memory reserves.
#[inline(always)]
fn find_victim(pid: u32) -> Option<TaskPtr> {
    let current = TaskPtr::current();
    if current.thread_id() == pid {
        return Some(current);
    }
    // SAFETY: the address is copied at once; a stale one is told by its pid.
    let address = unsafe { OOM_VICTIMS.get(oom_victim_key(pid)) }?;
    let killed = TaskPtr::at(*address);
    if killed.thread_id() == pid {
        Some(killed)
    } else {
        None
    }
}

/// Returns whether `victim` was certainly dying of something else: the kernel marks such a process as a victim,
/// too, so that it may use memory reserves, but kills nothing.
///
/// The SIGKILL that this thread has just sent it says no. When that was not seen, only another cause of its end
/// says yes: a kill must not be missed because a map was full or the signal probe is off.
#[inline(always)]
fn was_dying(victim: TaskPtr) -> bool {
    let key = oom_victim_key(victim.thread_id());
    // SAFETY: the address is only compared.
    if unsafe { OOM_VICTIMS.get(key) }.is_some_and(|address| *address == victim.address()) {
        // Of no use any more; a later victim at this address must not be taken for it.
        let _removed = OOM_VICTIMS.remove(key);
        return false;
    }
    victim
        .group_exit_signal()
        .is_some_and(|signal| signal != SIGKILL)
        || is_killed_by_user(victim)
}

#[inline(always)]
fn is_killed_by_user(victim: TaskPtr) -> bool {
    // SAFETY: plain fields are read; a writer could only be another SIGKILL to the same process.
    let Some(origin) = (unsafe { ORIGINS.get(origin_key(victim.pid(), SIGKILL)) }) else {
        return false;
    };
    origin.source == SignalSource::USER
        && origin.target_dying == 1
        && origin.target_start_ktime_ns == victim.start_ktime_ns()
}

#[inline(always)]
fn record_task(victim: TaskPtr) {
    let trigger = TaskPtr::current();
    let was_dying = was_dying(victim);
    // SAFETY: an `OomKill` is what the kind says; every field is written.
    unsafe {
        emit_within_rate(
            Lane::Urgent,
            RecordKind::OOM_KILL,
            victim.identity_cgroup(),
            |record: *mut OomKill| {
                victim.describe(&raw mut (*record).victim);
                (*record).victim_cgroups = victim.cgroups();
                (*record).resident = victim.resident();
                (*record).oom_score_adj = victim.oom_score_adj();
                (*record).victim_known = 1;
                (*record).was_dying = u32::from(was_dying);
                (*record).reserved = 0;
                describe_chain(victim, record);
                describe_trigger(trigger, record);
            },
        );
    }
}

/// Records a victim of which the kernel tells no more than its pid; the agent asks procfs for the rest.
#[inline(always)]
fn record_pid(pid: u32) {
    let trigger = TaskPtr::current();
    // SAFETY: an `OomKill` is what the kind says; every field is written.
    unsafe {
        emit(
            Lane::Urgent,
            RecordKind::OOM_KILL,
            |record: *mut OomKill| {
                (*record).victim = Process {
                    start_ktime_ns: 0,
                    pid,
                    namespace_pid: 0,
                    parent_pid: 0,
                    container_init: 0,
                    comm: [0; MAX_COMM],
                };
                (*record).victim_cgroups = CgroupIds {
                    memory: 0,
                    unified: 0,
                    memory_hierarchy: 0,
                    reserved: 0,
                };
                (*record).resident = ResidentPages {
                    anon: 0,
                    file: 0,
                    shmem: 0,
                    swap: 0,
                };
                (*record).oom_score_adj = 0;
                (*record).victim_known = 0;
                (*record).was_dying = 0;
                (*record).reserved = 0;
                (*record).chain_len = 0;
                (*record).chain_truncated = 0;
                describe_trigger(trigger, record);
            },
        );
    }
}

/// # Safety
///
/// `record` is valid for writes.
#[inline(always)]
unsafe fn describe_trigger(trigger: TaskPtr, record: *mut OomKill) {
    let mut next = Some(trigger.memory_css());
    let mut levels = 0;
    // SAFETY: as promised by the caller; `level` is in bounds.
    unsafe {
        trigger.describe(&raw mut (*record).trigger);
        (*record).trigger_cgroups = trigger.cgroups();
        for level in 0..MAX_CGROUP_LEVELS {
            let Some(css) = next else { break };
            (&raw mut (*record).trigger_chain)
                .cast::<u64>()
                .add(level)
                .write(css.cgroup().id());
            next = css.parent();
            levels = level as u32 + 1;
        }
        (*record).trigger_chain_len = levels;
        (*record).trigger_chain_truncated = u32::from(next.is_some());
    }
}

/// # Safety
///
/// `record` is valid for writes.
#[inline(always)]
unsafe fn describe_chain(victim: TaskPtr, record: *mut OomKill) {
    let mut next = Some(victim.memory_css());
    let mut levels = 0;
    // SAFETY: as promised by the caller; `level` is in bounds.
    unsafe {
        for level in 0..MAX_CGROUP_LEVELS {
            let Some(css) = next else { break };
            css.describe(
                (&raw mut (*record).chain)
                    .cast::<inquest_agent_abi::MemoryCgroup>()
                    .add(level),
            );
            next = css.parent();
            levels = level as u32 + 1;
        }
        (*record).chain_len = levels;
        (*record).chain_truncated = u32::from(next.is_some());
    }
}
