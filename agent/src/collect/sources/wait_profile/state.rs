//! What a thread is about in each system call in which threads wait. x86-64 numbers, as the kernel side tells them.

use inquest_agent_abi::{WaitKind, WaitReason};
use inquest_proto::v1::wait_share::State;

/// Calls in which threads wait, with what it means when they are not about a socket.
const CALLS: &[(u32, &str, State)] = &[
    (0, "read", State::Sleep),
    (1, "write", State::Sleep),
    (7, "poll", State::Sleep),
    (17, "pread64", State::Sleep),
    (18, "pwrite64", State::Sleep),
    (19, "readv", State::Sleep),
    (20, "writev", State::Sleep),
    (23, "select", State::Sleep),
    (34, "pause", State::Sleep),
    (35, "nanosleep", State::Sleep),
    (40, "sendfile", State::Sleep),
    (42, "connect", State::Socket),
    (43, "accept", State::Socket),
    (44, "sendto", State::Socket),
    (45, "recvfrom", State::Socket),
    (46, "sendmsg", State::Socket),
    (47, "recvmsg", State::Socket),
    (56, "clone", State::Other),
    (57, "fork", State::Other),
    (58, "vfork", State::Other),
    (59, "execve", State::Other),
    (61, "wait4", State::Sleep),
    (65, "semop", State::Sleep),
    (70, "msgrcv", State::Sleep),
    (73, "flock", State::Other),
    (74, "fsync", State::Disk),
    (75, "fdatasync", State::Disk),
    (128, "rt_sigtimedwait", State::Sleep),
    (130, "rt_sigsuspend", State::Sleep),
    (202, "futex", State::Futex),
    (220, "semtimedop", State::Sleep),
    (230, "clock_nanosleep", State::Sleep),
    (232, "epoll_wait", State::Sleep),
    (247, "waitid", State::Sleep),
    (270, "pselect6", State::Sleep),
    (271, "ppoll", State::Sleep),
    (275, "splice", State::Sleep),
    (281, "epoll_pwait", State::Sleep),
    (288, "accept4", State::Socket),
    (299, "recvmmsg", State::Socket),
    (307, "sendmmsg", State::Socket),
    (426, "io_uring_enter", State::Sleep),
    (435, "clone3", State::Other),
    (441, "epoll_pwait2", State::Sleep),
    (449, "futex_waitv", State::Futex),
];

/// Returns the state that `reason` stands for.
pub(super) fn state(reason: WaitReason) -> State {
    match reason.kind {
        WaitKind::ON_CPU => State::OnCpu,
        WaitKind::RUN_QUEUE => State::RunQueue,
        WaitKind::BLOCKED if reason.on_socket == 1 => State::Socket,
        WaitKind::BLOCKED => call(reason.syscall).map_or(State::Other, |(_, _, state)| state),
        WaitKind::UNINTERRUPTIBLE => uninterruptible(reason.syscall),
        _ => State::Other,
    }
}

/// Returns the name of system call `number`, empty when threads do not usually wait in it.
pub(super) fn syscall_name(number: u32) -> &'static str {
    call(number).map_or("", |(_, name, _)| name)
}

/// No signal ends it: a disk or a network file system, but for a parent that waits until its child has begun.
fn uninterruptible(syscall: u32) -> State {
    match call(syscall) {
        Some((_, "clone" | "clone3" | "vfork", _)) => State::Other,
        _ => State::Disk,
    }
}

fn call(number: u32) -> Option<(u32, &'static str, State)> {
    let index = CALLS.binary_search_by_key(&number, |(number, ..)| *number);
    CALLS.get(index.ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_searchable() {
        assert!(CALLS.is_sorted_by(|(one, ..), (next, ..)| one < next));
    }

    #[test]
    fn tells_states_by_kind_call_and_descriptor() {
        for (kind, syscall, on_socket, expected, name) in [
            (WaitKind::ON_CPU, u32::MAX, 0, State::OnCpu, ""),
            (WaitKind::RUN_QUEUE, u32::MAX, 0, State::RunQueue, ""),
            (WaitKind::BLOCKED, 202, 0, State::Futex, "futex"),
            (WaitKind::BLOCKED, 0, 0, State::Sleep, "read"),
            (WaitKind::BLOCKED, 0, 1, State::Socket, "read"),
            (WaitKind::BLOCKED, 45, 1, State::Socket, "recvfrom"),
            (WaitKind::BLOCKED, 7, 1, State::Socket, "poll"),
            (WaitKind::BLOCKED, 230, 0, State::Sleep, "clock_nanosleep"),
            (WaitKind::BLOCKED, 9999, 0, State::Other, ""),
            (WaitKind::UNINTERRUPTIBLE, 0, 0, State::Disk, "read"),
            (WaitKind::UNINTERRUPTIBLE, u32::MAX, 0, State::Disk, ""),
            (WaitKind::UNINTERRUPTIBLE, 58, 0, State::Other, "vfork"),
            (WaitKind::STOPPED, 0, 0, State::Other, "read"),
            (WaitKind(77), 0, 0, State::Other, "read"),
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
