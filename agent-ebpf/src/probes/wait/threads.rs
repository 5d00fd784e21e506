//! Iterators over all threads of the node, `iter/task`. Kernel 5.8 and later, with type information. One finds those
//! that may be stuck, some five reads for each thread that waits; the other takes up the threads of watched cgroups, which
//! may wait for as long as they are watched and so never come by the scheduler's hooks.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_seq_write};
use inquest_agent_abi::{SuspectThread, ThreadWait, WaitKind, WaitPeer, WaitReason};

use super::classify::{Leaving, wait_of};
use crate::{
    kernel_read::{SyscallPtr, TaskPtr},
    maps::{THREADS, WATCHED},
};

/// futex(2) on x86-64.
const FUTEX: u32 = 202;

/// `struct bpf_iter__task` of the kernel: both are pointers that the verifier knows.
#[repr(C)]
struct IterTask {
    meta: *const IterMeta,
    task: *const c_void,
}

/// `struct bpf_iter_meta`.
#[repr(C)]
struct IterMeta {
    seq: *mut c_void,
}

/// Tells user-space threads that wait in a futex or uninterruptibly.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub(crate) extern "C" fn suspect_threads(ctx: *mut c_void) -> i32 {
    let iteration = ctx.cast::<IterTask>();
    // SAFETY: the kernel gives an iterator of tasks this context; after the last task, there is none.
    let (meta, task) = unsafe { ((*iteration).meta, TaskPtr::at((*iteration).task as u64)) };
    if task.address() == 0 || task.is_kernel_thread() {
        return 0;
    }
    let leaving = Leaving::of(false, task.state());
    let kind = match leaving {
        Leaving::Blocked => WaitKind::BLOCKED,
        Leaving::Uninterruptible => WaitKind::UNINTERRUPTIBLE,
        _ => return 0,
    };
    let (syscall, arguments) = match SyscallPtr::of(task) {
        Some(syscall) => (
            syscall.number(),
            [
                syscall.first_argument(),
                syscall.second_argument(),
                syscall.third_argument(),
            ],
        ),
        None => (WaitReason::NO_SYSCALL, [0; 3]),
    };
    if kind == WaitKind::BLOCKED && syscall != FUTEX {
        return 0;
    }
    let suspect = SuspectThread {
        cgroup: task.identity_cgroup(),
        switches: task.switches(),
        arguments,
        tid: task.thread_id(),
        pid: task.pid(),
        kind,
        syscall,
    };
    // SAFETY: the record lives on the stack; the kernel grows its buffer and comes back when it is full.
    unsafe {
        bpf_seq_write(
            (*meta).seq.cast(),
            (&raw const suspect).cast(),
            size_of::<SuspectThread>() as u32,
        );
    }
    0
}

/// Takes up the threads of watched cgroups as they are now.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub(crate) extern "C" fn watched_threads(ctx: *mut c_void) -> i32 {
    let iteration = ctx.cast::<IterTask>();
    // SAFETY: as above.
    let task = TaskPtr::at(unsafe { (*iteration).task } as u64);
    if task.address() == 0 || task.is_kernel_thread() {
        return 0;
    }
    let cgroup = task.identity_cgroup();
    let Some(watched) = WATCHED.get_ptr(&cgroup) else {
        return 0;
    };
    let tid = task.thread_id();
    // SAFETY: both entries stay valid while the program runs.
    let is_known = THREADS
        .get_ptr(&tid)
        .is_some_and(|known| unsafe { (*known).since_ktime_ns >= (*watched).since_ktime_ns });
    let leaving = Leaving::of(false, task.state());
    if is_known || matches!(leaving, Leaving::Dead) {
        return 0;
    }
    let (reason, peer) = if task.is_on_cpu() {
        (WaitReason::of(WaitKind::ON_CPU), WaitPeer::NONE)
    } else {
        wait_of(task, leaving)
    };
    let thread = ThreadWait {
        // SAFETY: the helper has no preconditions.
        since_ktime_ns: unsafe { bpf_ktime_get_ns() },
        cgroup,
        pid: task.pid(),
        reason,
        peer,
    };
    // Without room it is taken up when it runs.
    let _inserted = THREADS.insert(tid, thread, 0);
    0
}
