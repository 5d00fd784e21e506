//! Finds cgroups whose threads look stuck: for seconds in the same uninterruptible wait, or waiting for the same lock.
//! Pure: what there is to see, and when, comes with each look.

use std::collections::HashMap;

use inquest_agent_abi::{SuspectThread, WaitKind};

/// How long a thread waits for one thing before it looks stuck: longer than a slow disk or a long critical section.
const STUCK_NS: u64 = 3_000_000_000;
/// How long a cgroup that looked stuck is left alone: a thread that waits for ever is told again, but not all the
/// time.
const QUIET_NS: u64 = 120_000_000_000;
/// Cgroups that are left alone at once; with more, those that have been so for longest are looked at again.
const MAX_QUIET: usize = 1024;

/// futex(2) operations, with what says that the memory is this process's own masked out.
const FUTEX_COMMAND: u64 = 0x7f;
const FUTEX_WAIT: u64 = 0;
const FUTEX_LOCK_PI: u64 = 6;
const FUTEX_WAIT_BITSET: u64 = 9;
const FUTEX_LOCK_PI2: u64 = 13;
/// What a contended mutex holds: of the GNU library, of Rust and of Go, 2; of musl, and with priority inheritance, the
/// owner with this bit set.
const CONTENDED: u32 = 2;
const WAITERS: u32 = 1 << 31;

/// What a thread waits for: as long as all of it is the same, it has not run.
type Wait = (u32, [u64; 3], u64);

/// What was seen before.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// By thread: what it waits for, and since when that has been seen.
    waiting: HashMap<u32, (Wait, u64)>,
    /// Until when a cgroup is left alone.
    quiet: HashMap<u64, u64>,
}

impl Suspects {
    /// Returns the cgroups with threads that look stuck at `now_ns`, of which `threads` are all that could be; each one
    /// once in a while.
    pub(super) fn look(&mut self, threads: &[SuspectThread], now_ns: u64) -> Vec<u64> {
        let mut waiting = HashMap::with_capacity(threads.len());
        let mut stuck = Vec::new();
        for thread in threads.iter().filter(|thread| is_suspicious(thread)) {
            let wait = (thread.pid, thread.arguments, thread.switches);
            let since_ns = match self.waiting.get(&thread.tid) {
                Some((seen, since_ns)) if *seen == wait => *since_ns,
                _ => now_ns,
            };
            waiting.insert(thread.tid, (wait, since_ns));
            if now_ns.saturating_sub(since_ns) >= STUCK_NS && !stuck.contains(&thread.cgroup) {
                stuck.push(thread.cgroup);
            }
        }
        self.waiting = waiting;
        stuck.retain(|cgroup| self.disturb(*cgroup, now_ns));
        stuck
    }

    /// Returns whether `cgroup` may be looked at again, and leaves it alone from then on.
    fn disturb(&mut self, cgroup: u64, now_ns: u64) -> bool {
        if self.quiet.get(&cgroup).is_some_and(|until| *until > now_ns) {
            return false;
        }
        self.quiet.retain(|_, until| *until > now_ns);
        if self.quiet.len() >= MAX_QUIET {
            self.quiet.clear();
        }
        self.quiet.insert(cgroup, now_ns + QUIET_NS);
        true
    }
}

/// Returns the records that a walk told.
pub(super) fn parse(told: &[u8]) -> Vec<SuspectThread> {
    told.chunks_exact(size_of::<SuspectThread>())
        .map(|record| {
            // SAFETY: the record is as long as the struct, of which every bit pattern is a valid value.
            unsafe { record.as_ptr().cast::<SuspectThread>().read_unaligned() }
        })
        .collect()
}

/// A condition variable is waited for by idle workers as well: only a lock says that somebody keeps it.
fn is_suspicious(thread: &SuspectThread) -> bool {
    if thread.kind == WaitKind::UNINTERRUPTIBLE {
        return true;
    }
    let [_, operation, value] = thread.arguments;
    let value = value as u32;
    match operation & FUTEX_COMMAND {
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => true,
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {
            value == CONTENDED || (value & WAITERS != 0 && value != u32::MAX)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const PRIVATE: u64 = 128;

    fn thread(kind: WaitKind, operation: u64, value: u64) -> SuspectThread {
        SuspectThread {
            cgroup: 7,
            switches: 10,
            arguments: [0x1000, operation, value],
            tid: 1,
            pid: 1,
            kind,
            syscall: 202,
        }
    }

    fn locked() -> SuspectThread {
        thread(WaitKind::BLOCKED, FUTEX_WAIT | PRIVATE, 2)
    }

    #[test]
    fn suspects_a_wait_that_lasts_and_only_once_in_a_while() {
        let mut suspects = Suspects::default();
        for (second, expected) in [
            (10, vec![]),
            (11, vec![]),
            (13, vec![7]),
            (14, vec![]),
            (60, vec![]),
            (134, vec![7]),
        ] {
            assert_eq!(
                suspects.look(&[locked()], second * SECOND),
                expected,
                "second {second}"
            );
        }
    }

    #[test]
    fn does_not_suspect_a_thread_that_runs_in_between() {
        let mut suspects = Suspects::default();
        for second in 10..20 {
            let moved = SuspectThread {
                switches: second,
                ..locked()
            };
            assert_eq!(suspects.look(&[moved], second * SECOND), Vec::<u64>::new());
        }
    }

    #[test]
    fn tells_a_lock_from_a_condition() {
        let blocked = |operation, value| thread(WaitKind::BLOCKED, operation, value);
        for (suspect, expected) in [
            (locked(), true),
            (blocked(FUTEX_WAIT_BITSET | PRIVATE, 2), true),
            (blocked(FUTEX_WAIT | PRIVATE, 0x8000_1234), true),
            (blocked(FUTEX_LOCK_PI | PRIVATE, 0), true),
            // A parked thread of Rust, and waiters of a condition or a semaphore.
            (blocked(FUTEX_WAIT_BITSET | PRIVATE, 0xffff_ffff), false),
            (blocked(FUTEX_WAIT_BITSET | PRIVATE, 0), false),
            (blocked(FUTEX_WAIT | PRIVATE, 14), false),
            (thread(WaitKind::UNINTERRUPTIBLE, 0, 0), true),
        ] {
            assert_eq!(is_suspicious(&suspect), expected, "{suspect:?}");
        }
    }

    #[test]
    fn reads_whole_records_only() {
        let suspect = locked();
        // SAFETY: the struct has no padding.
        let bytes: [u8; size_of::<SuspectThread>()] = unsafe { std::mem::transmute(suspect) };
        let told = [&bytes[..], &bytes[..], &bytes[..9]].concat();
        assert_eq!(parse(&told), [suspect, suspect]);
    }
}
