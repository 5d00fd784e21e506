//! Why a thread gives up its CPU. Must not name system calls: which one is for what, the agent knows.

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use inquest_agent_abi::{WaitKind, WaitPeer, WaitReason};

use crate::kernel_read::{DescriptorSocket, SyscallPtr, TaskPtr};

/// Task states of `include/linux/sched.h`, the same since 4.14.
const INTERRUPTIBLE: u32 = 0x1;
const UNINTERRUPTIBLE: u32 = 0x2;
const STOPPED: u32 = 0x4;
const TRACED: u32 = 0x8;
/// What a plain tracepoint's record has for a task that was preempted (`TASK_REPORT_MAX`).
const TOLD_PREEMPTED: u64 = 0x100;
/// `TASK_DEAD`.
const DEAD: u32 = 0x80;
/// Of a kernel thread that waits for work.
const NO_LOAD: u32 = 0x400;

/// System calls whose first argument is the descriptor that they wait for: read, write, readv, writev, sendfile,
/// connect, accept, sendto, recvfrom, sendmsg, recvmsg, accept4, recvmmsg, sendmmsg.
const ON_DESCRIPTOR: [u32; 14] = [0, 1, 19, 20, 40, 42, 43, 44, 45, 46, 47, 288, 299, 307];
/// poll and ppoll, whose first argument is an array that begins with a descriptor.
const ON_DESCRIPTORS: [u32; 2] = [7, 271];

/// How a task leaves its CPU.
#[derive(Clone, Copy)]
pub(super) enum Leaving {
    /// It could go on.
    Runnable,
    /// It waits; a signal would end that.
    Blocked,
    /// It waits; no signal ends that.
    Uninterruptible,
    /// It was stopped.
    Stopped,
    /// For ever.
    Dead,
}

impl Leaving {
    /// Of the state in which it leaves.
    #[inline(always)]
    pub(super) fn of(preempted: bool, state: u32) -> Self {
        if state & DEAD != 0 {
            Self::Dead
        } else if preempted || state & (INTERRUPTIBLE | UNINTERRUPTIBLE | STOPPED | TRACED) == 0 {
            Self::Runnable
        } else if state & (STOPPED | TRACED) != 0 {
            Self::Stopped
        } else if state & UNINTERRUPTIBLE != 0 && state & NO_LOAD == 0 {
            Self::Uninterruptible
        } else {
            Self::Blocked
        }
    }

    /// Of what a plain tracepoint tells about `task`: a dead one is told as one that could go on.
    #[inline(always)]
    pub(super) fn told(told: u64, task: TaskPtr) -> Self {
        let dead = task.state() & DEAD;
        Self::of(told & TOLD_PREEMPTED != 0, told as u32 | dead)
    }

    #[inline(always)]
    fn kind(self) -> WaitKind {
        match self {
            Self::Runnable | Self::Dead => WaitKind::RUN_QUEUE,
            Self::Blocked => WaitKind::BLOCKED,
            Self::Uninterruptible => WaitKind::UNINTERRUPTIBLE,
            Self::Stopped => WaitKind::STOPPED,
        }
    }
}

/// Returns what `task`, which leaves, waits for, and whom.
#[inline(always)]
pub(super) fn wait_of(task: TaskPtr, leaving: Leaving) -> (WaitReason, WaitPeer) {
    let mut reason = WaitReason::of(leaving.kind());
    let waits = matches!(leaving, Leaving::Blocked | Leaving::Uninterruptible);
    let Some(syscall) = SyscallPtr::of(task) else {
        return (reason, WaitPeer::NONE);
    };
    if !waits {
        return (reason, WaitPeer::NONE);
    }
    reason.syscall = syscall.number();
    let Some(descriptor) = descriptor(task, syscall) else {
        return (reason, WaitPeer::NONE);
    };
    let Some(socket) = DescriptorSocket::of(task, descriptor) else {
        return (reason, WaitPeer::NONE);
    };
    reason.on_socket = 1;
    (reason, socket.peer())
}

/// Returns the descriptor that `syscall` of `task` waits for, if it is one that does.
#[inline(always)]
fn descriptor(task: TaskPtr, syscall: SyscallPtr) -> Option<u32> {
    let number = syscall.number();
    if ON_DESCRIPTOR.contains(&number) {
        return Some(syscall.first_argument() as u32);
    }
    // Memory of user space can be read of the current task only.
    if !ON_DESCRIPTORS.contains(&number) || task != TaskPtr::current() {
        return None;
    }
    let mut descriptor = 0_u32;
    // SAFETY: `descriptor` has room for four bytes; the helper checks the source.
    let read = unsafe {
        bpf_probe_read_user(
            (&raw mut descriptor).cast(),
            size_of::<u32>() as u32,
            syscall.first_argument() as *const _,
        )
    };
    if read == 0 { Some(descriptor) } else { None }
}
