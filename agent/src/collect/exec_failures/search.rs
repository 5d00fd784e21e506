//! Tells executions that failed from searches that went on to succeed, and merges what is alike. Must not read files,
//! nor judge why an execution failed.
//!
//! A shell that looks for a program tries one directory after the other, so most failures are steps of a search. What
//! a process failed to execute is held back until it executes something, or nothing more comes of it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use inquest_agent_abi::{ExecFailed, Process};
use inquest_proto::v1::loss::Stage;

use crate::{collect::rate_limit::RateLimit, decode, loss::Losses};

/// How long a process is given to go on with its search; directories are tried within microseconds.
const SETTLE: Duration = Duration::from_millis(100);
/// Failures that are held back at once, each for a tick or two: some 700 KB.
const MAX_HELD: usize = 2048;
/// Failures of one process that are held back; a search path has a dozen directories.
const MAX_TRIES: usize = 64;
/// Failures that are alike are told once in this time.
const REPEAT: Duration = Duration::from_secs(10);
/// Failures that are told apart for that, those told long ago forgotten first.
const MAX_ALIKE: usize = 1024;

/// Errors with which a search goes on to the next directory.
const SEARCH_ERRNOS: [u32; 3] = [
    libc::ENOENT as u32,
    libc::ENOTDIR as u32,
    libc::EACCES as u32,
];

/// A failure to tell of.
#[derive(Clone, Debug)]
pub(super) struct ExecFailure {
    /// The last of those it stands for.
    pub(super) record: ExecFailed,
    /// The file as it was given; the bare name of one that was looked for in several directories.
    pub(super) filename: String,
    /// How many it stands for.
    pub(super) count: u64,
}

/// What is remembered between two failures.
#[derive(Debug, Default)]
pub(super) struct Searches {
    /// By process: pid and start.
    held: HashMap<(u32, u64), Vec<ExecFailed>>,
    /// Failures in there.
    held_count: usize,
    alike: HashMap<Alike, Told>,
    rate: RateLimit,
}

/// Failures that are told as one: of one cgroup, file and error.
type Alike = (u64, String, u32);

/// When a failure was told, and what came since.
#[derive(Debug)]
struct Told {
    ktime_ns: u64,
    since: u64,
}

impl Searches {
    /// Takes note of a failure.
    pub(super) fn failed(&mut self, failed: &ExecFailed, losses: &mut Losses) {
        let is_full = self.held_count >= MAX_HELD;
        let tries = (!is_full).then(|| self.held.entry(key(&failed.process)).or_default());
        match tries {
            Some(tries) if tries.len() < MAX_TRIES => {
                tries.push(*failed);
                self.held_count += 1;
            }
            _ => losses.add(Stage::RateLimit, "exec_failures_held", 1),
        }
    }

    /// Takes note that a process executed something: what it tried before was a search.
    pub(super) fn executed(&mut self, process: &Process) {
        if let Some(tries) = self.held.get_mut(&key(process)) {
            let before = tries.len();
            tries.retain(|failed| !SEARCH_ERRNOS.contains(&failed.errno));
            self.held_count -= before - tries.len();
        }
    }

    /// Returns what is to be told at `ktime_ns`, in the order in which it failed; `cgroup_of` names a failure's cgroup.
    pub(super) fn due(
        &mut self,
        ktime_ns: u64,
        cgroup_of: impl Fn(&ExecFailed) -> u64,
        losses: &mut Losses,
    ) -> Vec<ExecFailure> {
        let mut due = Vec::new();
        for tries in self.take_settled(ktime_ns) {
            for failure in merge(tries) {
                let cgroup = cgroup_of(&failure.record);
                due.extend(self.admit(cgroup, failure, losses));
            }
        }
        due.sort_by_key(|failure| failure.record.header.ktime_ns);
        due
    }

    fn take_settled(&mut self, ktime_ns: u64) -> Vec<Vec<ExecFailed>> {
        let is_settled = |tries: &Vec<ExecFailed>| {
            let last = tries.last().map_or(0, |last| last.header.ktime_ns);
            ktime_ns.saturating_sub(last) >= SETTLE.as_nanos() as u64
        };
        let settled: Vec<_> = self
            .held
            .extract_if(|_, tries| is_settled(tries))
            .map(|(_, tries)| tries)
            .collect();
        self.held_count -= settled.iter().map(Vec::len).sum::<usize>();
        settled
    }

    /// Returns a failure with those like it that were not told, unless it is one of them.
    fn admit(
        &mut self,
        cgroup: u64,
        mut failure: ExecFailure,
        losses: &mut Losses,
    ) -> Option<ExecFailure> {
        let ktime_ns = failure.record.header.ktime_ns;
        let alike = (cgroup, failure.filename.clone(), failure.record.errno);
        if let Some(told) = self.alike.get_mut(&alike) {
            if ktime_ns.saturating_sub(told.ktime_ns) < REPEAT.as_nanos() as u64 {
                told.since += failure.count;
                return None;
            }
            failure.count += told.since;
        }
        if !self.rate.admit(cgroup, ktime_ns) {
            losses.add(Stage::RateLimit, "cgroup_exec_failure_rate", failure.count);
            self.alike.remove(&alike);
            return None;
        }
        self.remember(alike, ktime_ns, losses);
        Some(failure)
    }

    fn remember(&mut self, alike: Alike, ktime_ns: u64, losses: &mut Losses) {
        if self.alike.len() >= MAX_ALIKE && !self.alike.contains_key(&alike) {
            let oldest = self.alike.iter().min_by_key(|(_, told)| told.ktime_ns);
            let oldest = oldest.map(|(alike, _)| alike.clone());
            let forgotten = oldest.and_then(|oldest| self.alike.remove(&oldest));
            let untold = forgotten.map_or(0, |told| told.since);
            losses.add(Stage::RateLimit, "cgroup_exec_failure_rate", untold);
        }
        self.alike.insert(alike, Told { ktime_ns, since: 0 });
    }
}

fn key(process: &Process) -> (u32, u64) {
    (process.pid, process.start_ktime_ns)
}

/// Merges what one process tried: equal failures, and those of one name in several directories.
fn merge(tries: Vec<ExecFailed>) -> Vec<ExecFailure> {
    let mut merged: BTreeMap<(String, u32), ExecFailure> = BTreeMap::new();
    for record in tries {
        let filename = decode::text(&record.filename);
        let bare = bare_name(&filename).to_owned();
        let is_search = SEARCH_ERRNOS.contains(&record.errno);
        let group = if is_search {
            bare.clone()
        } else {
            filename.clone()
        };
        let failure = merged.entry((group, record.errno)).or_insert(ExecFailure {
            filename: filename.clone(),
            count: 0,
            record,
        });
        if failure.filename != filename {
            failure.filename = bare;
        }
        failure.count += 1;
        failure.record = record;
    }
    merged.into_values().collect()
}

fn bare_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::{CgroupIds, MAX_COMM, MAX_FILENAME, RecordHeader, RecordKind};

    use super::*;

    const MS: u64 = 1_000_000;
    const ENOENT: u32 = libc::ENOENT as u32;
    const ENOEXEC: u32 = libc::ENOEXEC as u32;

    fn process(pid: u32) -> Process {
        Process {
            start_ktime_ns: 7,
            pid,
            namespace_pid: 0,
            parent_pid: 0,
            container_init: 0,
            comm: [0; MAX_COMM],
        }
    }

    fn failed(pid: u32, file: &str, errno: u32, at_ms: u64) -> ExecFailed {
        let mut filename = [0; MAX_FILENAME];
        filename[..file.len()].copy_from_slice(file.as_bytes());
        ExecFailed {
            header: RecordHeader {
                kind: RecordKind::EXEC_FAILED,
                reserved: 0,
                ktime_ns: at_ms * MS,
            },
            process: process(pid),
            cgroups: CgroupIds {
                memory: 5,
                unified: 5,
                memory_hierarchy: 0,
                reserved: 0,
            },
            errno,
            mount_namespace: 0,
            filename,
        }
    }

    #[derive(Default)]
    struct Scene {
        failures: Searches,
        losses: Losses,
    }

    impl Scene {
        fn fail(&mut self, pid: u32, file: &str, errno: u32, at_ms: u64) {
            let failed = failed(pid, file, errno, at_ms);
            self.failures.failed(&failed, &mut self.losses);
        }

        fn due(&mut self, at_ms: u64) -> Vec<(String, u32, u64)> {
            let cgroup = |failed: &ExecFailed| failed.cgroups.memory;
            let due = self.failures.due(at_ms * MS, cgroup, &mut self.losses);
            due.into_iter()
                .map(|failure| (failure.filename, failure.record.errno, failure.count))
                .collect()
        }
    }

    #[test]
    fn a_search_that_succeeds_is_no_failure() {
        let mut scene = Scene::default();
        scene.fail(1, "/usr/local/bin/app", ENOENT, 10);
        scene.fail(2, "/usr/local/bin/app", ENOENT, 10);
        scene.failures.executed(&process(1));
        assert_eq!(scene.due(20), [], "a search may still go on");
        let told = scene.due(200);
        assert_eq!(told, [("/usr/local/bin/app".to_owned(), ENOENT, 1)]);
    }

    #[test]
    fn a_search_in_vain_is_told_once_by_the_bare_name() {
        let mut scene = Scene::default();
        for directory in ["/usr/local/bin", "/usr/bin", "/bin"] {
            scene.fail(1, &format!("{directory}/app"), ENOENT, 10);
        }
        assert_eq!(scene.due(200), [("app".to_owned(), ENOENT, 3)]);
    }

    #[test]
    fn another_reason_than_a_missing_file_is_told_though_something_else_ran() {
        let mut scene = Scene::default();
        scene.fail(1, "/app", ENOEXEC, 10);
        scene.failures.executed(&process(1));
        assert_eq!(scene.due(200), [("/app".to_owned(), ENOEXEC, 1)]);
    }

    #[test]
    fn equal_failures_are_counted_until_they_are_told_again() {
        let mut scene = Scene::default();
        let app = |count| vec![("/app".to_owned(), ENOENT, count)];
        for (pid, at_ms, told) in [
            (1, 1_000, app(1)),
            (2, 2_000, vec![]),
            (3, 3_000, vec![]),
            (4, 12_000, app(3)),
            (5, 23_000, app(1)),
        ] {
            scene.fail(pid, "/app", ENOENT, at_ms);
            assert_eq!(scene.due(at_ms + 500), told, "at {at_ms}");
        }
        assert!(scene.losses.is_empty());
    }

    #[test]
    fn stays_bounded_and_counts_what_it_does_not_keep() {
        let mut scene = Scene::default();
        let (processes, tries) = (2 * MAX_HELD as u32, 2 * MAX_TRIES as u64);
        for pid in 0..processes {
            scene.fail(pid, &format!("/{pid}"), ENOENT, 10);
        }
        for _ in 1..tries {
            scene.fail(0, "/0", ENOENT, 10);
        }
        let told: u64 = scene.due(200).iter().map(|(_, _, count)| count).sum();
        let lost = scene.losses.to_wire();
        let lost: u64 = lost.iter().map(|loss| loss.count).sum();
        assert_eq!(told + lost, u64::from(processes) + tries - 1);
        assert!(scene.failures.held.is_empty());
        assert_eq!(scene.failures.held_count, 0);
        assert!(scene.failures.alike.len() <= MAX_ALIKE);
    }
}
