//! Remembers of containers what their later records are told with: when a cgroup was made, which files its first
//! process executed, how often a pod's program was started. Bounded; must not look anything up.

mod signals;

use inquest_agent_abi::Process;

use super::lru_map::LruMap;

/// Cgroups whose start is awaited or whose age is known; more than a node makes within the longest container start.
const MAX_CGROUPS: usize = 8192;
/// Processes whose executions are kept: several times the containers of the largest node. With the longest names
/// this is 4 MB, with usual ones a tenth of it.
const MAX_CHAINS: usize = 2048;
/// Executions kept of one process.
const MAX_CHAIN: usize = 8;
/// Programs of pods whose starts are counted.
const MAX_STARTED: usize = 4096;
/// Starts of the file names by which a runtime executes itself inside a new cgroup, before the container's program.
const RUNTIME_STAGES: [&str; 3] = ["/proc/self/", "/proc/thread-self/", "/memfd:"];

/// The lives of cgroups and of their first processes.
#[derive(Debug)]
pub(super) struct Lifecycles {
    cgroups: LruMap<u64, Life>,
    chains: LruMap<ProcessKey, Vec<String>>,
    starts: LruMap<StartedKey, u32>,
}

/// Pid and start: a process of one boot.
type ProcessKey = (u32, u64);
/// Pod and program.
type StartedKey = (String, String);

#[derive(Debug)]
struct Life {
    created_ktime_ns: u64,
    started: bool,
}

/// The first execution in a new cgroup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Start {
    /// Since the cgroup was made.
    pub(super) after_created_ns: u64,
}

impl Default for Lifecycles {
    fn default() -> Self {
        Self {
            cgroups: LruMap::new(MAX_CGROUPS),
            chains: LruMap::new(MAX_CHAINS),
            starts: LruMap::new(MAX_STARTED),
        }
    }
}

impl Lifecycles {
    /// Takes note that cgroup `id` was made.
    pub(super) fn created(&mut self, id: u64, ktime_ns: u64) {
        let life = Life {
            created_ktime_ns: ktime_ns,
            started: false,
        };
        self.cgroups.insert(id, life);
    }

    /// Takes note that `process` executed `filename` in `cgroup`; returns whether that is the cgroup's start.
    pub(super) fn executed(
        &mut self,
        process: &Process,
        cgroup: u64,
        filename: &str,
        ktime_ns: u64,
    ) -> Option<Start> {
        if RUNTIME_STAGES
            .iter()
            .any(|stage| filename.starts_with(stage))
        {
            return None;
        }
        let start = self.start(cgroup, ktime_ns);
        self.chain(process, filename, start.is_some());
        start
    }

    /// Counts a start of `program` in the pod; returns how many there were before.
    pub(super) fn count_start(&mut self, pod_uid: &str, program: &str) -> u32 {
        if pod_uid.is_empty() {
            return 0;
        }
        let key = (pod_uid.to_owned(), program.to_owned());
        if let Some(count) = self.starts.get_mut(&key) {
            let earlier = *count;
            *count = count.saturating_add(1);
            earlier
        } else {
            self.starts.insert(key, 1);
            0
        }
    }

    /// Forgets a process that ended; returns what it had executed, oldest first.
    pub(super) fn take_chain(&mut self, process: &Process) -> Vec<String> {
        self.chains
            .remove(&process_key(process))
            .unwrap_or_default()
    }

    /// Forgets a cgroup that was removed; returns how long it was there, `None` when its creation was not seen.
    pub(super) fn removed(&mut self, id: u64, ktime_ns: u64) -> Option<u64> {
        let life = self.cgroups.remove(&id)?;
        Some(ktime_ns.saturating_sub(life.created_ktime_ns))
    }

    fn start(&mut self, cgroup: u64, ktime_ns: u64) -> Option<Start> {
        let life = self.cgroups.get_mut(&cgroup)?;
        if std::mem::replace(&mut life.started, true) {
            return None;
        }
        Some(Start {
            after_created_ns: ktime_ns.saturating_sub(life.created_ktime_ns),
        })
    }

    /// Keeps the executions of a container's init, and of the first process of a new cgroup: with the node's own pid
    /// namespace, or a pod's, that is what comes nearest.
    fn chain(&mut self, process: &Process, filename: &str, is_first: bool) {
        let key = process_key(process);
        if let Some(chain) = self.chains.get_mut(&key) {
            if chain.len() < MAX_CHAIN {
                chain.push(filename.to_owned());
            }
        } else if is_first || process.container_init == 1 {
            self.chains.insert(key, vec![filename.to_owned()]);
        }
    }
}

fn process_key(process: &Process) -> ProcessKey {
    (process.pid, process.start_ktime_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::tests::process;

    const CGROUP: u64 = 5;

    #[test]
    fn tells_the_first_execution_in_a_new_cgroup_once() {
        let mut lives = Lifecycles::default();
        let app = process(42);
        assert_eq!(
            lives.executed(&app, CGROUP, "/bin/app", 90),
            None,
            "not new"
        );
        lives.created(CGROUP, 100);
        for stage in [
            "/proc/self/exe",
            "/proc/thread-self/fd/7",
            "/memfd:runc_cloned:x",
        ] {
            assert_eq!(lives.executed(&app, CGROUP, stage, 110), None, "{stage}");
        }
        let start = lives.executed(&app, CGROUP, "/bin/app", 150);
        assert_eq!(start.map(|start| start.after_created_ns), Some(50));
        assert_eq!(lives.executed(&app, CGROUP, "/bin/other", 160), None);
    }

    #[test]
    fn tells_how_long_a_cgroup_was_there() {
        let mut lives = Lifecycles::default();
        lives.created(CGROUP, 100);
        assert_eq!(lives.removed(CGROUP, 350), Some(250));
        assert_eq!(lives.removed(CGROUP, 360), None);
    }

    #[test]
    fn keeps_what_an_init_executed_and_no_more_than_its_bound() {
        let mut lives = Lifecycles::default();
        let init = process(42);
        let mut other = process(43);
        other.container_init = 0;
        for number in 0..2 * MAX_CHAIN {
            lives.executed(&init, CGROUP, &format!("/bin/{number}"), 1);
            lives.executed(&other, CGROUP, "/bin/other", 1);
        }
        let chain = lives.take_chain(&init);
        assert_eq!(chain.len(), MAX_CHAIN);
        assert_eq!(chain.first().map(String::as_str), Some("/bin/0"));
        assert_eq!(lives.take_chain(&init), [""; 0], "taken");
        assert_eq!(lives.take_chain(&other), [""; 0], "no init");
    }

    #[test]
    fn keeps_what_the_first_process_of_a_cgroup_executed_though_it_is_no_init() {
        let mut lives = Lifecycles::default();
        let mut first = process(42);
        first.container_init = 0;
        lives.created(CGROUP, 1);
        lives.executed(&first, CGROUP, "/bin/sh", 2);
        lives.executed(&first, CGROUP, "/bin/app", 3);
        assert_eq!(lives.take_chain(&first), ["/bin/sh", "/bin/app"]);
    }

    #[test]
    fn counts_the_starts_of_a_program_by_pod() {
        let mut lives = Lifecycles::default();
        for (pod, program, earlier) in [
            ("a", "/app", 0),
            ("a", "/app", 1),
            ("a", "/sidecar", 0),
            ("b", "/app", 0),
            ("a", "/app", 2),
            ("", "/app", 0),
            ("", "/app", 0),
        ] {
            assert_eq!(
                lives.count_start(pod, program),
                earlier,
                "{program} of {pod}"
            );
        }
    }
}
