//! What a thread is about in each system call in which threads wait.

use inquest_agent_abi::{WaitKind, WaitReason};
use inquest_proto::v1::wait_share::State;

use crate::syscalls::call_name;

/// Returns the state that `reason` stands for.
pub(super) fn state(reason: WaitReason) -> State {
    match reason.kind {
        WaitKind::ON_CPU => State::OnCpu,
        WaitKind::RUN_QUEUE => State::RunQueue,
        WaitKind::BLOCKED if reason.on_socket == 1 => State::Socket,
        WaitKind::BLOCKED => blocked(&syscall_name(reason.syscall)),
        WaitKind::UNINTERRUPTIBLE => uninterruptible(&syscall_name(reason.syscall)),
        _ => State::Other,
    }
}

/// Returns the name of system call `number`, empty for none.
pub(super) fn syscall_name(number: u32) -> String {
    if number == WaitReason::NO_SYSCALL {
        String::new()
    } else {
        call_name(number)
    }
}

/// What a wait in a call means that is not known to be about a socket.
fn blocked(call: &str) -> State {
    match call {
        "futex" | "futex_waitv" => State::Futex,
        "connect" | "accept" | "accept4" | "sendto" | "recvfrom" | "sendmsg" | "recvmsg"
        | "sendmmsg" | "recvmmsg" => State::Socket,
        "fsync" | "fdatasync" | "sync" | "syncfs" => State::Disk,
        "read" | "write" | "readv" | "writev" | "pread64" | "pwrite64" | "splice" | "sendfile"
        | "poll" | "ppoll" | "select" | "pselect6" | "epoll_wait" | "epoll_pwait"
        | "epoll_pwait2" | "io_uring_enter" | "pause" | "nanosleep" | "clock_nanosleep"
        | "wait4" | "waitid" | "rt_sigtimedwait" | "rt_sigsuspend" | "semop" | "semtimedop"
        | "msgrcv" | "mq_timedreceive" => State::Sleep,
        _ => State::Other,
    }
}

/// No signal ends it: a disk or a network file system, but for a parent that waits until its child has begun.
fn uninterruptible(call: &str) -> State {
    match call {
        "clone" | "clone3" | "vfork" => State::Other,
        _ => State::Disk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_states_by_kind_call_and_descriptor() {
        let none = WaitReason::NO_SYSCALL;
        let number = |call: libc::c_long| u32::try_from(call).unwrap();
        let (read, futex) = (number(libc::SYS_read), number(libc::SYS_futex));
        let (recvfrom, clone) = (number(libc::SYS_recvfrom), number(libc::SYS_clone));
        let sleep = number(libc::SYS_clock_nanosleep);
        for (kind, syscall, on_socket, expected, name) in [
            (WaitKind::ON_CPU, none, 0, State::OnCpu, ""),
            (WaitKind::RUN_QUEUE, none, 0, State::RunQueue, ""),
            (WaitKind::BLOCKED, futex, 0, State::Futex, "futex"),
            (WaitKind::BLOCKED, read, 0, State::Sleep, "read"),
            (WaitKind::BLOCKED, read, 1, State::Socket, "read"),
            (WaitKind::BLOCKED, recvfrom, 0, State::Socket, "recvfrom"),
            (WaitKind::BLOCKED, sleep, 0, State::Sleep, "clock_nanosleep"),
            (WaitKind::BLOCKED, none, 0, State::Other, ""),
            (WaitKind::UNINTERRUPTIBLE, read, 0, State::Disk, "read"),
            (WaitKind::UNINTERRUPTIBLE, none, 0, State::Disk, ""),
            (WaitKind::UNINTERRUPTIBLE, clone, 0, State::Other, "clone"),
            (WaitKind::STOPPED, read, 0, State::Other, "read"),
            (WaitKind(77), read, 0, State::Other, "read"),
        ] {
            let reason = WaitReason {
                kind,
                syscall,
                on_socket,
            };
            assert_eq!(state(reason), expected, "{reason:?}");
            assert_eq!(syscall_name(syscall), name);
        }
    }
}
