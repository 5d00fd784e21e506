//! Tells whom a record is about: from the cgroup id that the kernel gave at that instant to path, container
//! and pod. Must not ask Kubernetes, and never guesses: what is not known is absent.

mod cgroup_path;
mod counted;
mod denials;
mod failed_calls;
mod last_words;
mod lifecycle;
mod lru_map;
mod netns;
mod oom_scope;
mod sender_class;
mod signals;

use std::sync::Arc;

use inquest_agent_abi::{CgroupCreated, CgroupIds, MemoryCgroup, Process};
use inquest_proto::v1;

use crate::{
    collect::{cgroupfs::CgroupFs, clock::Clock},
    decode,
};
use lifecycle::Lifecycles;
pub(crate) use lru_map::LruMap;
use netns::NetnsOwners;

pub(crate) use cgroup_path::Place;
pub(crate) use cgroup_path::owner;
pub use denials::Refused;
pub use failed_calls::{Failures, Window};
pub use last_words::FailedBefore;
pub use oom_scope::{OomEpisodes, OomScope};
pub use signals::{ExitReadings, OomReadings, resident_bytes, scope_of};

/// Cgroups whose paths are remembered, those of dead ones included. With paths of 250 bytes this is some 7 MB; at 30
/// new cgroups a second it still reaches back ten minutes, within which everything about a dead container is asked.
const MAX_CGROUPS: usize = 20_000;
/// Those that are kept when memory is near its bound: what lives is found again, so this is for what died last.
const KEPT_CGROUPS: usize = 1024;

/// Time between two walks of the cgroup file system, by the records' clock: each takes milliseconds.
const WALK_INTERVAL_NS: u64 = 5_000_000_000;

/// Attributes records by the cgroups of this node.
#[derive(Debug)]
pub struct Attributor {
    /// By id, within the one hierarchy that names processes.
    paths: LruMap<u64, Arc<str>>,
    lives: Lifecycles,
    cgroups: Arc<CgroupFs>,
    /// Of the pids controller, which is in a hierarchy of its own on v1.
    pids_cgroups: CgroupFs,
    clock: Clock,
    walked_ktime_ns: u64,
    netns: NetnsOwners,
}

impl Attributor {
    /// Returns an attributor that knows the cgroups that there are now.
    pub fn new(cgroups: Arc<CgroupFs>, clock: Clock, ktime_ns: u64) -> Self {
        let mut attributor = Self {
            paths: LruMap::new(MAX_CGROUPS),
            lives: Lifecycles::default(),
            pids_cgroups: cgroups.of_controller("pids"),
            cgroups,
            clock,
            walked_ktime_ns: ktime_ns,
            netns: NetnsOwners::default(),
        };
        attributor.walk();
        attributor
    }

    /// Sets by which clock times are converted from now on.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Returns the wall-clock time of `ktime_ns`.
    pub(crate) fn wall(&self, ktime_ns: u64) -> pbjson_types::Timestamp {
        self.clock.wall(ktime_ns)
    }

    /// Takes note of a new cgroup and its path. One that its record cut is left for the kernel to tell.
    pub fn learn(&mut self, created: &CgroupCreated) {
        self.lives.created(created.id, created.header.ktime_ns);
        if let Some(path) = decode::whole_text(&created.path) {
            self.paths.insert(created.id, Arc::from(path));
        }
    }

    /// Returns whether the cgroup that names a process with these ids is known without asking anyone.
    pub fn knows(&self, ids: &CgroupIds) -> bool {
        self.paths.contains(&self.identity(ids))
    }

    /// Forgets what it can do without: the paths of most cgroups, which the kernel tells again while they live.
    pub(crate) fn shed(&mut self) {
        self.paths.shed(KEPT_CGROUPS);
    }

    /// Returns the id that names the cgroup of a process on this node: the memory controller's where that
    /// is v1, since the v2 hierarchy of such a node knows no containers, else the v2 one.
    pub fn identity(&self, ids: &CgroupIds) -> u64 {
        if self.cgroups.hierarchy() == 0 {
            ids.unified
        } else {
            ids.memory
        }
    }

    /// Returns the path of cgroup `id`: as remembered, as the kernel has it, or as a walk finds it.
    pub fn path(&mut self, id: u64, ktime_ns: u64) -> Option<Arc<str>> {
        if id == 0 {
            return None;
        }
        if let Some(path) = self.paths.get_mut(&id) {
            return Some(Arc::clone(path));
        }
        if let Some(path) = self.cgroups.path_of(id) {
            self.paths.insert(id, Arc::from(path));
        } else if ktime_ns.saturating_sub(self.walked_ktime_ns) >= WALK_INTERVAL_NS {
            self.walked_ktime_ns = ktime_ns;
            self.walk();
        }
        self.paths.get_mut(&id).map(|path| Arc::clone(path))
    }

    /// Remembers what the names in a victim's chain tell of its own cgroup's path, if none of them is cut.
    pub fn learn_chain(&mut self, chain: &[MemoryCgroup], truncated: bool) {
        let Some(own) = chain.first() else { return };
        if truncated || self.paths.contains(&own.id) {
            return;
        }
        if let Some(path) = chain_path(chain) {
            self.paths.insert(own.id, Arc::from(path));
        }
    }

    /// Returns the cgroup `id` as the wire has it.
    pub fn cgroup(&mut self, id: u64, ktime_ns: u64) -> Option<v1::Cgroup> {
        (id != 0).then(|| v1::Cgroup {
            id,
            hierarchy: self.cgroups.hierarchy(),
            path: self
                .path(id, ktime_ns)
                .as_deref()
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// Returns whom a record about `process` in the cgroups `ids` is about.
    pub fn subject(&mut self, process: &Process, ids: &CgroupIds, ktime_ns: u64) -> v1::Subject {
        let cgroup = self.cgroup(self.identity(ids), ktime_ns);
        subject_of(cgroup, wire_process(process))
    }

    fn walk(&mut self) {
        let cgroups = Arc::clone(&self.cgroups);
        cgroups.walk(|id, path| self.paths.insert(id, Arc::from(path)));
    }
}

/// Returns the subject of a process whose cgroup is known.
fn subject_of(cgroup: Option<v1::Cgroup>, process: v1::Process) -> v1::Subject {
    let owner = cgroup
        .as_ref()
        .map(|cgroup| owner(&cgroup.path))
        .unwrap_or_default();
    v1::Subject {
        cgroup,
        container: owner.container,
        pod_uid: owner.pod_uid.unwrap_or_default(),
        process: Some(process),
    }
}

fn wire_process(process: &Process) -> v1::Process {
    v1::Process {
        pid: process.pid,
        start_ktime_ns: process.start_ktime_ns,
        comm: decode::text(&process.comm),
        namespace_pid: process.namespace_pid,
        container_init: process.container_init == 1,
        parent_pid: process.parent_pid,
    }
}

/// Joins the names of a chain that reaches the root, whose own name is empty or `/`; `None` when one was cut.
fn chain_path(chain: &[MemoryCgroup]) -> Option<String> {
    let mut path = String::new();
    for level in chain.iter().rev() {
        let name = decode::whole_text(&level.name)?;
        if !matches!(name.as_str(), "" | "/") {
            path.push('/');
            path.push_str(&name);
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use inquest_agent_abi::{MAX_CGROUP_NAME, MAX_CGROUP_PATH, MAX_COMM, RecordHeader, RecordKind};

    use super::*;

    pub(super) fn level(id: u64, name: &str) -> MemoryCgroup {
        let mut bytes = [0; MAX_CGROUP_NAME];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        MemoryCgroup {
            id,
            usage_pages: 0,
            max_pages: u64::MAX,
            memsw_usage_pages: 0,
            memsw_max_pages: u64::MAX,
            failcnt: 0,
            oom_events: 0,
            oom_group: 0,
            reserved: 0,
            name: bytes,
        }
    }

    pub(super) fn created(id: u64, path: &str) -> CgroupCreated {
        let mut bytes = [0; MAX_CGROUP_PATH];
        bytes[..path.len()].copy_from_slice(path.as_bytes());
        CgroupCreated {
            header: RecordHeader {
                kind: RecordKind::CGROUP_CREATED,
                reserved: 0,
                ktime_ns: 1,
            },
            id,
            hierarchy: 0,
            reserved: 0,
            path: bytes,
        }
    }

    pub(super) fn process(pid: u32) -> Process {
        let mut comm = [0; MAX_COMM];
        comm[..6].copy_from_slice(b"worker");
        Process {
            start_ktime_ns: 7,
            pid,
            namespace_pid: 1,
            parent_pid: 3,
            container_init: 1,
            comm,
        }
    }

    pub(super) const NOWHERE: CgroupIds = CgroupIds {
        memory: 0,
        unified: 0,
        memory_hierarchy: 0,
        reserved: 0,
    };

    /// Knows no cgroup and cannot look any up.
    pub(super) fn attributor() -> Attributor {
        let cgroups = Arc::new(CgroupFs::find(Path::new("/nonexistent")));
        Attributor::new(cgroups, Clock::measure(), 0)
    }

    #[test]
    fn names_container_and_pod_from_a_new_cgroups_record_after_it_is_gone() {
        let mut attributor = attributor();
        let id = "a".repeat(64);
        let uid = "0f6c1b2a-3d4e-5f60-7182-93a4b5c6d7e8";
        let path = format!("/kubepods/burstable/pod{uid}/crio-{id}");
        attributor.learn(&created(5, &path));
        let ids = CgroupIds {
            memory: 5,
            unified: 5,
            ..NOWHERE
        };
        assert!(attributor.knows(&ids));
        let subject = attributor.subject(&process(42), &ids, 1);
        assert_eq!(subject.pod_uid, uid);
        assert_eq!(subject.container.unwrap().id, id);
        let process = subject.process.unwrap();
        assert_eq!(
            (process.pid, process.comm.as_str(), process.container_init),
            (42, "worker", true)
        );
    }

    #[test]
    fn leaves_absent_what_is_not_known() {
        let mut attributor = attributor();
        let subject = attributor.subject(&process(42), &NOWHERE, 1);
        assert_eq!(subject.cgroup, None);
        let unresolved = attributor.subject(
            &process(42),
            &CgroupIds {
                memory: 9,
                unified: 9,
                ..NOWHERE
            },
            1,
        );
        assert_eq!(
            unresolved.cgroup.map(|cgroup| (cgroup.id, cgroup.path)),
            Some((9, String::new()))
        );
        assert_eq!(
            (unresolved.container, unresolved.pod_uid),
            (None, String::new())
        );
    }

    #[test]
    fn reads_a_dead_cgroups_path_off_the_victims_chain() {
        let mut attributor = attributor();
        let chain = [level(9, "worker"), level(8, "pods"), level(1, "/")];
        attributor.learn_chain(&chain, true);
        assert_eq!(
            attributor.path(9, 0),
            None,
            "names of a truncated chain are no path"
        );
        attributor.learn_chain(&chain, false);
        assert_eq!(attributor.path(9, 0).as_deref(), Some("/pods/worker"));
        assert_eq!(chain_path(&[level(1, "")]).as_deref(), Some("/"));
    }

    #[test]
    fn does_not_take_a_cut_path_or_name_for_the_whole() {
        let mut attributor = attributor();
        let longest = "p".repeat(MAX_CGROUP_PATH - 1);
        attributor.learn(&created(5, &longest));
        assert_eq!(attributor.path(5, 0), None);
        let name = "n".repeat(MAX_CGROUP_NAME - 1);
        attributor.learn_chain(&[level(6, "child"), level(7, &name), level(1, "/")], false);
        assert_eq!(attributor.path(6, 0), None);
    }
}
