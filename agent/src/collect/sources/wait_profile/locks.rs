//! Which mutexes the threads of a watched cgroup wait for, from one look at them to the next. Pure; must not say which
//! of them is too slow.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use inquest_agent_abi::SuspectThread;
use inquest_proto::v1;

use super::futex::FutexWait;
use crate::collect::procfs;

/// Mutexes remembered of one window; those that are met later are not. A thread waits for one at a time, so that few
/// are contended for longer than a moment.
const MAX_LOCKS: usize = 256;
/// Threads remembered of one mutex, to see that it is passed on: it is enough to see one of them move.
const MAX_WAITERS_SEEN: usize = 64;
/// Mutexes told of one window.
const MAX_TOLD: usize = 4;

/// The mutexes of one cgroup. Keyed by process and address.
#[derive(Debug, Default)]
pub(super) struct Locks(BTreeMap<(u32, u64), Lock>);

#[derive(Debug, Default)]
struct Lock {
    /// Most threads that waited at once.
    waiters: u32,
    /// Most threads of the process that waited for conditions at once.
    others: u32,
    passed: bool,
    /// How often each waiter had given up a CPU when it was seen to wait.
    seen: HashMap<u32, u64>,
}

impl Locks {
    /// Takes note of all threads of `cgroup` among those that wait in futex(2) now.
    pub(super) fn look(&mut self, threads: &[SuspectThread], cgroup: u64) {
        let of_cgroup = threads.iter().filter(|thread| thread.cgroup == cgroup);
        let mut waiters: BTreeMap<(u32, u64), BTreeSet<(u32, u64)>> = BTreeMap::new();
        let mut others: BTreeMap<u32, u32> = BTreeMap::new();
        for thread in of_cgroup {
            let [address, ..] = thread.arguments;
            match FutexWait::of(thread) {
                FutexWait::Mutex => {
                    let lock = waiters.entry((thread.pid, address)).or_default();
                    lock.insert((thread.tid, thread.switches));
                }
                FutexWait::Condition => *others.entry(thread.pid).or_default() += 1,
                FutexWait::Other => {}
            }
        }
        for (key, waiters) in waiters {
            if self.0.len() < MAX_LOCKS || self.0.contains_key(&key) {
                let others = others.get(&key.0).copied().unwrap_or(0);
                self.0.entry(key).or_default().look(&waiters, others);
            }
        }
    }

    /// Returns those with most waiters.
    pub(super) fn told(&self) -> Vec<v1::ContendedLock> {
        let mut locks: Vec<_> = self.0.iter().collect();
        locks.sort_by_key(|(_, lock)| std::cmp::Reverse(lock.waiters));
        locks.truncate(MAX_TOLD);
        let told = locks.into_iter().map(|(&(pid, address), lock)| {
            let process = v1::Process {
                pid,
                comm: procfs::comm(pid).unwrap_or_default(),
                ..v1::Process::default()
            };
            v1::ContendedLock {
                process: Some(process),
                address,
                waiters: lock.waiters,
                passed: lock.passed,
                other_waiters: lock.others,
            }
        });
        told.collect()
    }
}

impl Lock {
    fn look(&mut self, waiters: &BTreeSet<(u32, u64)>, others: u32) {
        self.waiters = self.waiters.max(waiters.len() as u32);
        self.others = self.others.max(others);
        for (tid, switches) in waiters {
            match self.seen.get(tid) {
                Some(before) if before != switches => self.passed = true,
                None if self.seen.len() < MAX_WAITERS_SEEN => {
                    self.seen.insert(*tid, *switches);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::futex::tests::locked;
    use super::*;

    fn waits(tid: u32, address: u64, value: u64) -> SuspectThread {
        let [_, operation, _] = locked().arguments;
        SuspectThread {
            tid,
            arguments: [address, operation, value],
            ..locked()
        }
    }

    fn told(looks: &[Vec<SuspectThread>]) -> Vec<(u64, u32, bool, u32)> {
        let mut locks = Locks::default();
        for threads in looks {
            locks.look(threads, 7);
        }
        let told = locks.told().into_iter();
        told.map(|lock| (lock.address, lock.waiters, lock.passed, lock.other_waiters))
            .collect()
    }

    #[test]
    fn counts_the_threads_that_wait_for_each_mutex_at_once() {
        let looks = [
            vec![waits(1, 0x10, 2), waits(2, 0x20, 2), waits(3, 0x20, 2)],
            vec![waits(1, 0x10, 2), waits(2, 0x20, 2), waits(4, 0x30, 9)],
        ];
        assert_eq!(told(&looks), [(0x20, 2, false, 1), (0x10, 1, false, 1)]);
    }

    #[test]
    fn sees_that_a_mutex_is_passed_on_by_a_waiter_that_ran_in_between() {
        let again = SuspectThread {
            switches: 12,
            ..waits(1, 0x10, 2)
        };
        let looks = [vec![waits(1, 0x10, 2)], vec![again]];
        assert_eq!(told(&looks), [(0x10, 1, true, 0)]);
    }

    #[test]
    fn is_of_one_cgroup_and_stays_bounded() {
        let stranger = SuspectThread {
            cgroup: 8,
            ..waits(1, 0x10, 2)
        };
        assert_eq!(told(&[vec![stranger]]), []);
        let many = (0..1000).map(|n| waits(n, u64::from(n), 2)).collect();
        assert_eq!(told(&[many]).len(), MAX_TOLD);
    }
}
