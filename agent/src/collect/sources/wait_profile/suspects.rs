//! Finds cgroups whose threads look stuck: for seconds in the same uninterruptible wait, or waiting for the same lock.
//! Pure: what there is to see, and when, comes with each look.

use std::collections::HashMap;

use inquest_agent_abi::{SuspectThread, WaitKind};

use super::futex::FutexWait;

/// How long a thread waits for one thing before it looks stuck: longer than a slow disk or a long critical section.
const STUCK_NS: u64 = 3_000_000_000;
/// How long a cgroup that looked stuck is left alone: a thread that waits for ever is told again, but not all the
/// time.
const QUIET_NS: u64 = 120_000_000_000;
/// Cgroups that are left alone at once; with more, those that have been so for longest are looked at again.
const MAX_QUIET: usize = 1024;

/// What a thread waits for: as long as all of it is the same, it has not run.
type Wait = (u32, [u64; 3], u64);

/// What was seen before.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// By thread: what it waits for, and since when that has been seen.
    waiting: HashMap<u32, (Wait, u64)>,
    /// Until when a cgroup is left alone.
    quiet: HashMap<u64, u64>,
    /// A thread that waits is in a cgroup that is not left alone.
    is_open: bool,
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
        self.is_open = threads.iter().any(|thread| {
            let until = self.quiet.get(&thread.cgroup);
            is_suspicious(thread) && until.is_none_or(|until| *until <= now_ns)
        });
        stuck.retain(|cgroup| self.disturb(*cgroup, now_ns));
        stuck
    }

    /// Returns whether a thread waited for what may become suspicious, in a cgroup that is not left alone.
    pub(super) fn has_any(&self) -> bool {
        self.is_open
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
    thread.kind == WaitKind::UNINTERRUPTIBLE || FutexWait::of(thread) == FutexWait::Mutex
}

#[cfg(test)]
mod tests {
    use super::super::futex::tests::locked;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

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
    fn is_in_suspense_while_a_thread_waits_that_was_not_told() {
        let mut suspects = Suspects::default();
        assert!(!suspects.has_any());
        for (second, expected) in [(10, true), (13, true), (14, false), (134, true)] {
            suspects.look(&[locked()], second * SECOND);
            assert_eq!(suspects.has_any(), expected, "second {second}");
        }
        suspects.look(&[], 200 * SECOND);
        assert!(!suspects.has_any());
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
    fn suspects_uninterruptible_waits_but_no_conditions() {
        let waits = |kind, arguments| SuspectThread {
            kind,
            arguments,
            ..locked()
        };
        assert!(is_suspicious(&waits(WaitKind::UNINTERRUPTIBLE, [0; 3])));
        assert!(!is_suspicious(&waits(WaitKind::BLOCKED, [0x1000, 128, 0])));
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
