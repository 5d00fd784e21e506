//! Hooks `sched:sched_switch` and `sched:sched_wakeup`: how long each thread of a watched cgroup runs, waits for a
//! CPU, or waits for something else, and in which system call. Kernel 5.10 and later. Attached only while a cgroup
//! is watched; then two look-ups a switch, and some seven reads, for threads of others. Emits nothing: adds up in maps.

mod classify;
mod threads;

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns,
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{Meter, ThreadWait, WaitKey, WaitKind, WaitPeer, WaitReason, WaitTotal};

use crate::{
    count,
    kernel_read::{Arguments, TaskPtr, TracepointFields, layout},
    maps::{LAYOUT, THREADS, WAITS, WATCHED},
    meter::metered,
};
use classify::{Leaving, wait_of};

const SWITCH: Meter = Meter::SCHED_SWITCH;
const WAKEUP: Meter = Meter::SCHED_WAKEUP;

/// Runs on the CPU that switches: the task that leaves is the current one.
#[btf_tracepoint(function = "sched_switch")]
pub(crate) fn sched_switch_tp_btf(ctx: BtfTracePointContext) -> i32 {
    let next = metered(SWITCH, || try_switch(Arguments::of(&ctx)));
    probe_log!(&ctx, "switch to {}", next);
    0
}

#[raw_tracepoint(tracepoint = "sched_switch")]
pub(crate) fn sched_switch_raw_tp(ctx: RawTracePointContext) -> i32 {
    let next = metered(SWITCH, || try_switch(Arguments::of(&ctx)));
    probe_log!(&ctx, "switch to {}", next);
    0
}

#[tracepoint(category = "sched", name = "sched_switch")]
pub(crate) fn sched_switch_tracepoint(ctx: TracePointContext) -> u32 {
    let fields = TracepointFields::of(&ctx);
    let task = TaskPtr::current();
    let told: u64 = fields.get(&LAYOUT.tracepoint.sched_switch_prev_state);
    let next: u32 = fields.get(&LAYOUT.tracepoint.sched_switch_next_pid);
    metered(SWITCH, || switch(task, Leaving::told(told, task), next));
    probe_log!(&ctx, "switch to {}", next);
    0
}

#[btf_tracepoint(function = "sched_wakeup")]
pub(crate) fn sched_wakeup_tp_btf(ctx: BtfTracePointContext) -> i32 {
    let woken = TaskPtr::at(Arguments::of(&ctx).get(0)).thread_id();
    metered(WAKEUP, || wake(woken));
    probe_log!(&ctx, "woken {}", woken);
    0
}

#[raw_tracepoint(tracepoint = "sched_wakeup")]
pub(crate) fn sched_wakeup_raw_tp(ctx: RawTracePointContext) -> i32 {
    let woken = TaskPtr::at(Arguments::of(&ctx).get(0)).thread_id();
    metered(WAKEUP, || wake(woken));
    probe_log!(&ctx, "woken {}", woken);
    0
}

#[tracepoint(category = "sched", name = "sched_wakeup")]
pub(crate) fn sched_wakeup_tracepoint(ctx: TracePointContext) -> u32 {
    let woken: u32 = TracepointFields::of(&ctx).get(&LAYOUT.tracepoint.sched_wakeup_pid);
    metered(WAKEUP, || wake(woken));
    probe_log!(&ctx, "woken {}", woken);
    0
}

/// Returns the thread that comes.
#[inline(always)]
fn try_switch(arguments: Arguments) -> u32 {
    let previous = TaskPtr::at(arguments.get(1));
    let next = TaskPtr::at(arguments.get(2)).thread_id();
    let preempted = arguments.get(0) as u8 != 0;
    let state = if layout(&LAYOUT.switch_has_state) == 1 {
        arguments.get(3) as u32
    } else {
        previous.state()
    };
    switch(previous, Leaving::of(preempted, state), next);
    next
}

#[inline(always)]
fn switch(previous: TaskPtr, leaving: Leaving, next: u32) {
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    leave(previous, leaving, now);
    // Threads that are not known yet are taken up when they leave.
    if let Some(thread) = known(next) {
        move_on(next, thread, WaitReason::of(WaitKind::ON_CPU), now);
    }
}

/// Takes note that `task` gives up its CPU.
#[inline(always)]
fn leave(task: TaskPtr, leaving: Leaving, now: u64) {
    let tid = task.thread_id();
    // SAFETY: only this CPU has the thread, which is what entries are written by.
    let thread = match THREADS.get_ptr_mut(&tid) {
        Some(known) => unsafe { &mut *known },
        None => return take_up(task, tid, leaving, now),
    };
    end_stay(tid, thread, now);
    if matches!(leaving, Leaving::Dead) {
        // It is there, unless the map was short of room and has forgotten it just now.
        let _removed = THREADS.remove(&tid);
        return;
    }
    let (reason, peer) = wait_of(task, leaving);
    thread.since_ktime_ns = now;
    thread.reason = reason;
    thread.peer = peer;
}

/// Begins to count `task`, if its cgroup is watched.
#[inline(always)]
fn take_up(task: TaskPtr, tid: u32, leaving: Leaving, now: u64) {
    if tid == 0 || matches!(leaving, Leaving::Dead) {
        return;
    }
    let cgroup = task.identity_cgroup();
    if WATCHED.get_ptr(&cgroup).is_none() {
        return;
    }
    let (reason, peer) = wait_of(task, leaving);
    let thread = ThreadWait {
        since_ktime_ns: now,
        cgroup,
        pid: task.pid(),
        reason,
        peer,
    };
    // An LRU map makes room; where it cannot for now, the next switch tries again.
    let _inserted = THREADS.insert(tid, thread, 0);
}

/// A thread that waited can run now. One that was about to wait and has not left its CPU yet goes on running.
#[inline(always)]
fn wake(tid: u32) {
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    if let Some(thread) = known(tid)
        && thread.reason.kind != WaitKind::ON_CPU
    {
        move_on(tid, thread, WaitReason::of(WaitKind::RUN_QUEUE), now);
    }
}

/// Returns what is known of thread `tid`, which is woken or comes in.
#[inline(always)]
fn known(tid: u32) -> Option<&'static mut ThreadWait> {
    // SAFETY: the scheduler's lock of the run queue keeps others off the thread meanwhile.
    THREADS
        .get_ptr_mut(&tid)
        .map(|known| unsafe { &mut *known })
}

/// Ends what a thread did, and begins `reason`.
#[inline(always)]
fn move_on(tid: u32, thread: &mut ThreadWait, reason: WaitReason, now: u64) {
    end_stay(tid, thread, now);
    thread.since_ktime_ns = now;
    thread.reason = reason;
    thread.peer = WaitPeer::NONE;
}

/// Adds the stay of a thread that ends `now` to its total.
#[inline(always)]
fn end_stay(tid: u32, thread: &ThreadWait, now: u64) {
    let key = WaitKey {
        cgroup: thread.cgroup,
        tid,
        reason: thread.reason,
    };
    if add(&key, thread, now) {
        return;
    }
    let shared = WaitKey { tid: 0, ..key };
    if !add(&shared, thread, now)
        && let Some(watched) = WATCHED.get_ptr_mut(&thread.cgroup)
    {
        // SAFETY: the entry stays valid while the program runs; two CPUs may count one for two, of a rarity.
        unsafe { (*watched).overflows += 1 };
    }
}

/// Returns whether there was room.
#[inline(always)]
fn add(key: &WaitKey, thread: &ThreadWait, now: u64) -> bool {
    let stay_ns = now.saturating_sub(thread.since_ktime_ns);
    let Some(total) = WAITS.get_ptr_mut(key) else {
        let total = WaitTotal {
            total_ns: stay_ns,
            longest_ns: stay_ns,
            stays: 1,
            pid: thread.pid,
            reserved: 0,
            peer: thread.peer,
        };
        return WAITS.insert(key, total, 0).is_ok();
    };
    // SAFETY: the entry stays valid while the program runs. Threads share one where there is no room for one each; of two
    // longest stays that end at once there, either is told.
    unsafe {
        count::add(&raw mut (*total).total_ns, stay_ns);
        count::add(&raw mut (*total).stays, 1);
        if stay_ns > (*total).longest_ns {
            (*total).longest_ns = stay_ns;
            (*total).peer = thread.peer;
        }
    }
    true
}
