//! What a wait in futex(2) is for, as far as its arguments tell. Must not read the memory of the process.

use inquest_agent_abi::{SuspectThread, WaitKind};

/// Operations, with what says that the memory is this process's own, and which clock counts, masked out.
const COMMAND: u64 = 0x7f;
const WAIT: u64 = 0;
const LOCK_PI: u64 = 6;
const WAIT_BITSET: u64 = 9;
const LOCK_PI2: u64 = 13;
/// The memory is this process's own. A thread that is joined is not waited for so: the kernel tells its end.
const PRIVATE: u64 = 0x80;
/// What a contended mutex holds: of the GNU library, of Rust and of Go, 2; of musl, and with priority inheritance, the
/// owner with this bit set.
const CONTENDED: u32 = 2;
const WAITERS: u32 = 1 << 31;

/// What a thread waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FutexWait {
    /// A mutex that another thread holds.
    Mutex,
    /// A condition or a semaphore, for which idle workers wait, too.
    Condition,
    /// Something else, or not in futex(2).
    Other,
}

impl FutexWait {
    /// Tells it by the arguments of the call.
    pub(super) fn of(thread: &SuspectThread) -> Self {
        if thread.kind != WaitKind::BLOCKED {
            return Self::Other;
        }
        let [_, operation, value] = thread.arguments;
        let value = value as u32;
        match operation & COMMAND {
            LOCK_PI | LOCK_PI2 => Self::Mutex,
            WAIT | WAIT_BITSET => match value {
                CONTENDED => Self::Mutex,
                _ if value & WAITERS != 0 && value != u32::MAX => Self::Mutex,
                _ if operation & PRIVATE != 0 => Self::Condition,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn thread(operation: u64, value: u64) -> SuspectThread {
        SuspectThread {
            cgroup: 7,
            switches: 10,
            arguments: [0x1000, operation, value],
            tid: 1,
            pid: 1,
            kind: WaitKind::BLOCKED,
            syscall: 202,
        }
    }

    /// Thread 1 of process 1 in cgroup 7 waits for the mutex at 0x1000.
    pub(in super::super) fn locked() -> SuspectThread {
        thread(WAIT | PRIVATE, 2)
    }

    #[test]
    fn tells_a_lock_from_a_condition() {
        for (suspect, expected) in [
            (locked(), FutexWait::Mutex),
            (thread(WAIT_BITSET | PRIVATE, 2), FutexWait::Mutex),
            (thread(WAIT | PRIVATE, 0x8000_1234), FutexWait::Mutex),
            (thread(LOCK_PI | PRIVATE, 0), FutexWait::Mutex),
            // A parked thread of Rust, and waiters of a condition or a semaphore.
            (
                thread(WAIT_BITSET | PRIVATE, 0xffff_ffff),
                FutexWait::Condition,
            ),
            (thread(WAIT_BITSET | PRIVATE, 0), FutexWait::Condition),
            (thread(WAIT | PRIVATE, 14), FutexWait::Condition),
            // A thread that joins thread 4711.
            (thread(WAIT_BITSET, 4711), FutexWait::Other),
        ] {
            assert_eq!(FutexWait::of(&suspect), expected, "{suspect:?}");
        }
        let uninterruptible = SuspectThread {
            kind: WaitKind::UNINTERRUPTIBLE,
            ..locked()
        };
        assert_eq!(FutexWait::of(&uninterruptible), FutexWait::Other);
    }
}
