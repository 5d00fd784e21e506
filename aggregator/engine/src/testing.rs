//! Builders of signals for tests. Must not know any detector.

pub(crate) mod checks;
pub(crate) mod scenario;
pub(crate) mod signs;

use crate::model::signal::{
    Cgroup, CgroupMemoryStat, Container, FatalSignal, MemoryCgroup, MemoryUsage, OomKill, OomScope,
    Process, ProcessExit, ProcessMemory, Runtime, SenderClass, SignalOrigin,
};
use crate::model::{
    Incident, Inventory, NodeCoverage, NodeName, Signal, SignalBody, SignalId, Subject, Timestamp,
};
use crate::step::{Engine, Input, Output};

/// The node of every test.
pub(crate) const NODE: &str = "node-1";

/// The limit of the limiting cgroup of every test.
pub(crate) const LIMIT: u64 = 64 << 20;

/// A time in milliseconds after the tests' epoch, 2026-01-01T00:00:00Z.
pub(crate) fn at_ms(ms: i64) -> Timestamp {
    Timestamp::from_nanos(1_767_225_600_000_000_000 + ms * 1_000_000)
}

/// The kernel's time of a moment.
pub(crate) fn ktime(at: Timestamp) -> u64 {
    u64::try_from(at.since(at_ms(-1_000_000)).as_nanos()).unwrap()
}

/// A process that things happen to.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    process: Process,
    cgroup: Cgroup,
    container: Option<Container>,
    pod_uid: Option<String>,
}

impl Actor {
    /// A process in cgroup `/demo/limited/inner`.
    pub(crate) fn new(comm: &str, pid: u32) -> Self {
        Self {
            process: Process {
                pid,
                start_ktime_ns: u64::from(pid) * 1000,
                comm: comm.to_owned(),
                namespace_pid: pid,
                container_init: false,
                parent_pid: 1,
            },
            cgroup: Cgroup {
                id: 77,
                hierarchy: 0,
                path: Some("/demo/limited/inner".to_owned()),
            },
            container: None,
            pod_uid: None,
        }
    }

    pub(crate) fn started(mut self, ktime_ns: u64) -> Self {
        self.process.start_ktime_ns = ktime_ns;
        self
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn in_hierarchy(mut self, hierarchy: u32) -> Self {
        self.cgroup.hierarchy = hierarchy;
        self
    }

    pub(crate) fn child_of(mut self, parent: u32) -> Self {
        self.process.parent_pid = parent;
        self
    }

    pub(crate) fn in_cgroup(mut self, id: u64, path: &str) -> Self {
        self.cgroup.id = id;
        self.cgroup.path = Some(path.to_owned());
        self
    }

    pub(crate) fn unattributed(mut self) -> Self {
        self.cgroup = Cgroup::default();
        self
    }

    /// Process `namespace_pid` of a container; 1 is its init.
    pub(crate) fn in_container(mut self, id: &str, namespace_pid: u32) -> Self {
        self.container = Some(Container {
            id: id.to_owned(),
            runtime: Runtime::Containerd,
        });
        self.process.namespace_pid = namespace_pid;
        self.process.container_init = namespace_pid == 1;
        self
    }

    /// Process 1 of a Docker container.
    pub(crate) fn in_docker(self, id: &str) -> Self {
        let mut actor = self.in_container(id, 1);
        if let Some(container) = &mut actor.container {
            container.runtime = Runtime::Docker;
        }
        actor
    }

    pub(crate) fn in_pod(mut self, uid: &str) -> Self {
        self.pod_uid = Some(uid.to_owned());
        self
    }

    pub(crate) fn signal(&self, id: &str, at: Timestamp, body: SignalBody) -> Signal {
        Signal {
            id: SignalId(id.to_owned()),
            node: NodeName(NODE.to_owned()),
            observed_at: at,
            ktime_ns: ktime(at),
            subject: Subject {
                cgroup: Some(self.cgroup.clone()),
                container: self.container.clone(),
                pod_uid: self.pod_uid.clone(),
                process: Some(self.process.clone()),
            },
            body,
        }
    }

    pub(crate) fn exit(&self, id: &str, at: Timestamp, signal: u32) -> Signal {
        let exit = ProcessExit {
            signal,
            ..ProcessExit::default()
        };
        self.signal(id, at, SignalBody::ProcessExit(exit))
    }

    /// A kill because `/demo/limited`, one level above the own cgroup, is at its limit.
    pub(crate) fn oom(&self, id: &str, at: Timestamp) -> Signal {
        self.signal(id, at, SignalBody::OomKill(self.oom_kill(OomScope::Memcg)))
    }

    /// A kill because the node has no memory.
    pub(crate) fn node_oom(&self, id: &str, at: Timestamp) -> Signal {
        self.signal(id, at, SignalBody::OomKill(self.oom_kill(OomScope::Global)))
    }

    pub(crate) fn oom_kill(&self, scope: OomScope) -> OomKill {
        let level = |id, name: &str, usage_bytes, max_bytes| MemoryCgroup {
            id,
            name: name.to_owned(),
            usage_bytes,
            max_bytes,
            failcnt: 44,
            oom_events: Some(1),
            oom_group: false,
        };
        let usage = if scope == OomScope::Memcg {
            LIMIT
        } else {
            LIMIT / 2
        };
        OomKill {
            scope,
            chain: vec![
                level(77, "inner", 48 << 20, None),
                level(76, "limited", usage, Some(LIMIT)),
                level(75, "demo", 70 << 20, Some(1 << 30)),
                level(1, "/", 3 << 30, None),
            ],
            limiting: (scope == OomScope::Memcg).then_some(1),
            victim_usage: MemoryUsage {
                anon_bytes: 46 << 20,
                file_bytes: 1 << 20,
                shmem_bytes: 0,
                swap_bytes: 0,
            },
            oom_score_adj: 0,
            trigger: Some(self.process.clone()),
            cgroup_stat: Some(CgroupMemoryStat {
                anon_bytes: 60 << 20,
                file_bytes: 2 << 20,
                shmem_bytes: 0,
                kernel_bytes: 1 << 20,
                read_after_ns: 300_000,
            }),
            top_processes: vec![ProcessMemory {
                pid: self.process.pid,
                comm: self.process.comm.clone(),
                rss_bytes: 47 << 20,
            }],
        }
    }

    /// A signal from the kernel itself.
    pub(crate) fn killed_by_kernel(&self, id: &str, at: Timestamp) -> Signal {
        self.fatal(id, at, 9, SignalOrigin::Kernel, None)
    }

    /// A signal that `sender` sent.
    pub(crate) fn killed_by(&self, id: &str, at: Timestamp, signal: u32, sender: &Self) -> Signal {
        self.fatal(id, at, signal, SignalOrigin::User, Some(sender))
    }

    /// A fault of its own at an address.
    pub(crate) fn faulted(&self, id: &str, at: Timestamp, signal: u32, address: u64) -> Signal {
        let mut fault = self.fatal(id, at, signal, SignalOrigin::Fault, None);
        if let SignalBody::FatalSignal(fatal) = &mut fault.body {
            fatal.fault_address = Some(address);
            fatal.code = 1;
        }
        fault
    }

    fn fatal(
        &self,
        id: &str,
        at: Timestamp,
        signal: u32,
        origin: SignalOrigin,
        sender: Option<&Self>,
    ) -> Signal {
        let fatal = FatalSignal {
            signal,
            code: if origin == SignalOrigin::Kernel {
                128
            } else {
                0
            },
            origin,
            sender: sender.map(|sender| sender.process.clone()),
            sender_cgroup: sender.map(|sender| sender.cgroup.clone()),
            sender_class: SenderClass::Unknown,
            fault_address: None,
        };
        self.signal(id, at, SignalBody::FatalSignal(fatal))
    }
}

/// An inventory in which the tests' node sees everything.
pub(crate) fn full_sight() -> Inventory {
    inventory(seeing_all())
}

/// The coverage of a node whose probes are all attached.
pub(crate) fn seeing_all() -> NodeCoverage {
    NodeCoverage {
        attached: ["mark_victim", "sched_process_exit", "signal_generate"]
            .map(str::to_owned)
            .into(),
        ..NodeCoverage::default()
    }
}

/// An inventory with the given coverage of the tests' node.
pub(crate) fn inventory(coverage: NodeCoverage) -> Inventory {
    Inventory {
        nodes: [(NodeName(NODE.to_owned()), coverage)].into(),
    }
}

/// Steps the engine once with full sight.
pub(crate) fn step(engine: &mut Engine, now: Timestamp, signals: Vec<Signal>) -> Output {
    engine.step(Input {
        now,
        inventory: &full_sight(),
        signals,
    })
}

/// The incidents after one step of a new engine at the time of the newest signal.
pub(crate) fn incidents_of(signals: Vec<Signal>) -> Vec<Incident> {
    let now = signals.iter().map(|signal| signal.observed_at).max();
    let mut engine = Engine::default();
    step(&mut engine, now.unwrap_or_default(), signals);
    engine.incidents().cloned().collect()
}
