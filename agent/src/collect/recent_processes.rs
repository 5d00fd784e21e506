//! Tells the second record of one end: on kernels that do not say which thread was the last, two threads
//! that go at once may both take themselves for it, and the OOM killer marks each thread of a victim that still
//! needs memory.

use std::collections::VecDeque;

use inquest_agent_abi::Process;

/// Processes remembered. Both records of an exit are written within microseconds; those of a kill while its
/// threads end, with the kills of a group between them.
const REMEMBERED: usize = 256;

/// The processes of the latest records of one kind.
#[derive(Debug, Default)]
pub(crate) struct RecentProcesses {
    latest: VecDeque<(u32, u64)>,
}

impl RecentProcesses {
    /// Returns whether this is the first record about `process`, and remembers it.
    pub(crate) fn is_new(&mut self, process: &Process) -> bool {
        let identity = (process.pid, process.start_ktime_ns);
        if self.latest.contains(&identity) {
            return false;
        }
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back(identity);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, start_ktime_ns: u64) -> Process {
        let comm = [0; inquest_agent_abi::MAX_COMM];
        Process {
            start_ktime_ns,
            pid,
            namespace_pid: 0,
            parent_pid: 0,
            container_init: 0,
            comm,
        }
    }

    #[test]
    fn tells_a_repeated_record_from_a_reused_pid() {
        let mut recent = RecentProcesses::default();
        assert!(recent.is_new(&process(1, 10)));
        assert!(!recent.is_new(&process(1, 10)));
        assert!(recent.is_new(&process(1, 20)));
    }

    #[test]
    fn stays_bounded() {
        let mut recent = RecentProcesses::default();
        for pid in 0..1000 {
            assert!(recent.is_new(&process(pid, 1)));
        }
        assert_eq!(recent.latest.len(), REMEMBERED);
    }
}
