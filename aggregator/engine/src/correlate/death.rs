//! One process's end and its surroundings, as far as the window holds them. Must not say why it
//! ended: that is for detectors.

use std::time::Duration;

use super::case::names_of;
use super::coverage::{Coverage, believed};
use super::window::{Arrival, Window};
use super::workload::{Workload, cgroup_entity, label, node_entity, process_entity};
use crate::explain::quote::clean;
use crate::explain::signal_name::SIGKILL;
use crate::model::signal::{
    Container, FatalSignal, MemoryCgroup, OomKill, OomScope, Process, ProcessExit, SignalOrigin,
};
use crate::model::{Entity, Inventory, NodeName, Signal, SignalBody, SignalId, Timestamp};

/// How near the exit of a container's process 1 must be to belong to the same story: a container
/// that dies of a lost child dies within seconds, and a torn down one takes its processes along.
pub(crate) const CONTAINER_MARGIN: Duration = Duration::from_secs(10);

/// Kills by the OOM killer this near to each other come of the same shortage.
const SHORTAGE_MARGIN: Duration = Duration::from_mins(1);

/// Id of every hierarchy's root cgroup, whose name the kernel keeps empty.
const ROOT_CGROUP_ID: u64 = 1;

/// How the names of processes begin that runc, crun, youki and systemd (which puts the unit in brackets) let
/// become the program of a workload.
const STARTERS: [&str; 4] = ["runc:[", "crun", "youki", "("];

/// A record together with the signal that brought it.
#[derive(Debug)]
pub(crate) struct Observed<'a, T> {
    pub(crate) signal: &'a Signal,
    /// When it happened, as far as the node's clock is believed.
    pub(crate) at: Timestamp,
    pub(crate) record: &'a T,
}

// Derived, these would ask the record itself to be `Copy`.
impl<T> Copy for Observed<'_, T> {}
impl<T> Clone for Observed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

/// What is known about the end of one process.
#[derive(Debug)]
pub(crate) struct Death<'a> {
    pub(crate) node: &'a NodeName,
    pub(crate) process: Option<&'a Process>,
    pub(crate) workload: Workload,
    /// When the fault struck: the OOM kill, else the signal, else the exit.
    pub(crate) onset: Timestamp,
    pub(crate) oom: Option<Observed<'a, OomKill>>,
    pub(crate) fatal: Option<Observed<'a, FatalSignal>>,
    pub(crate) exit: Option<Observed<'a, ProcessExit>>,
    /// The end of process 1 of the same container, when that is another process and it was near.
    pub(crate) init_exit: Option<Observed<'a, ProcessExit>>,
    /// Others that the OOM killer took for lack of memory on the whole node.
    pub(crate) fellow_victims: Vec<&'a Process>,
    pub(crate) coverage: Coverage,
    /// All signals about it that this is made of, for finding it again.
    pub(crate) signals: Vec<&'a Signal>,
}

/// What gathering a death looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) window: &'a Window,
    /// Signals from here on are not looked at: to see what was known before they arrived.
    pub(crate) until: Arrival,
    pub(crate) inventory: &'a Inventory,
    pub(crate) now: Timestamp,
}

impl<'a> Death<'a> {
    /// Gathers what the scene holds about the process whose signals are `group`.
    pub(crate) fn gather(scene: Scene<'a>, group: &[Arrival]) -> Option<Self> {
        let mut signals: Vec<&Signal> = group
            .iter()
            .filter(|arrival| **arrival < scene.until)
            .filter_map(|arrival| scene.window.get(*arrival))
            .collect();
        signals.sort_by_key(|signal| (signal.observed_at, &signal.id));
        let exit = scene.find(&signals, |body| match body {
            SignalBody::ProcessExit(exit) => Some(exit),
            _ => None,
        });
        let died_of = exit.map_or(0, |exit| exit.record.signal);
        let fatal = scene
            .find(&signals, |body| match body {
                SignalBody::FatalSignal(fatal) if fatal.signal == died_of => Some(fatal),
                _ => None,
            })
            .or_else(|| {
                scene.find(&signals, |body| match body {
                    SignalBody::FatalSignal(fatal) => Some(fatal),
                    _ => None,
                })
            });
        let oom = scene.find(&signals, |body| match body {
            SignalBody::OomKill(kill) => Some(kill),
            _ => None,
        });
        let (fault, onset) = oom
            .map(|oom| (oom.signal, oom.at))
            .or_else(|| fatal.map(|fatal| (fatal.signal, fatal.at)))
            .or_else(|| exit.map(|exit| (exit.signal, exit.at)))?;
        let nearby = scene.landmarks_near(&fault.node, fault.observed_at);
        let mut coverage = Coverage::around(&fault.node, onset, scene.inventory, &nearby);
        coverage.add_clock_ahead(&fault.node, fault.observed_at, scene.now);
        let best = signals
            .iter()
            .min_by_key(|signal| Workload::of(&signal.subject))
            .copied()
            .unwrap_or(fault);
        Some(Self {
            node: &fault.node,
            process: best_process(&signals),
            workload: Workload::of(&best.subject),
            onset,
            oom,
            fatal,
            exit,
            init_exit: scene.init_exit(fault, &nearby),
            fellow_victims: fellow_victims(fault, &nearby),
            coverage,
            signals,
        })
    }

    /// The process as texts name it.
    pub(crate) fn victim(&self) -> String {
        self.process
            .map_or_else(|| "an unknown process".to_owned(), label)
    }

    /// The process as the object of a fact.
    pub(crate) fn victim_entity(&self) -> Entity {
        process_entity(self.node, self.process)
    }

    /// The failing workload as the object of a report.
    pub(crate) fn workload_entity(&self) -> Entity {
        self.workload.entity(self.node, self.process)
    }

    /// The node as the object of a report.
    pub(crate) fn node_entity(&self) -> Entity {
        node_entity(self.node)
    }

    /// The signal that ended it, 0 when none did or it is not known.
    pub(crate) fn died_of(&self) -> u32 {
        match (self.exit, self.fatal) {
            (Some(exit), _) => exit.record.signal,
            (None, Some(fatal)) => fatal.record.signal,
            (None, None) => 0,
        }
    }

    /// The record of the signal that ended it, when it is the one that the exit tells.
    pub(crate) fn killer(&self) -> Option<Observed<'a, FatalSignal>> {
        self.fatal
            .filter(|fatal| fatal.record.signal == self.died_of())
    }

    /// Whether something ended it: a signal or the OOM killer.
    pub(crate) fn is_violent(&self) -> bool {
        self.oom.is_some() || self.died_of() != 0
    }

    /// Whether it was process 1 of a container.
    pub(crate) fn is_container_init(&self) -> bool {
        self.process.is_some_and(|process| process.container_init)
    }

    /// Whether the workload lives and ends with it: process 1 of a container, the first of its cgroup, or
    /// a child of the node's init.
    pub(crate) fn is_main(&self) -> bool {
        let is_first = self
            .exit
            .is_some_and(|exit| !exit.record.exec_chain.is_empty());
        let is_service = self.process.is_some_and(|process| process.parent_pid == 1);
        self.is_container_init() || is_first || is_service && self.container().is_none()
    }

    /// Whether it was a runtime's or an init's own process that had still to become the program of a
    /// workload: until then it has the name that those give it.
    pub(crate) fn is_starter(&self) -> bool {
        self.process.is_some_and(|process| {
            let mut names = STARTERS.iter();
            names.any(|name| process.comm.starts_with(name))
        })
    }

    /// Whether it lived in a container without being its process 1.
    pub(crate) fn is_container_child(&self) -> bool {
        let in_namespace = self.process.is_some_and(|process| {
            process.namespace_pid != 0 && process.namespace_pid != process.pid
        });
        !self.is_container_init() && (in_namespace || self.container().is_some())
    }

    /// Whether it was killed, the OOM killer did not say so, and no process is known to have done it.
    pub(crate) fn is_unexplained_kill(&self) -> bool {
        let sender_known = self.killer().is_some_and(|fatal| {
            matches!(
                fatal.record.origin,
                SignalOrigin::User | SignalOrigin::Fault
            )
        });
        self.oom.is_none() && self.died_of() == SIGKILL && !sender_known && !self.is_teardown()
    }

    /// Whether it ended because its container did: with process 1 gone, the kernel kills the rest.
    fn is_teardown(&self) -> bool {
        self.init_exit.is_some_and(|init| init.at <= self.onset)
    }

    /// The level of the victim's memory cgroups that was at its limit, with how far up it is.
    pub(crate) fn limiting(&self) -> Option<(usize, &'a MemoryCgroup)> {
        let kill = self.oom?.record;
        let index = kill.limiting.filter(|_| kill.scope == OomScope::Memcg)?;
        Some((index, kill.chain.get(index)?))
    }

    /// The name of a level of the victim's memory cgroups: its path when the victim's own is known.
    pub(crate) fn level_name(&self, index: usize) -> String {
        let Some(level) = self.oom.and_then(|oom| oom.record.chain.get(index)) else {
            return self.workload_entity().name;
        };
        match level.name.as_str() {
            "/" => "/".to_owned(),
            "" if level.id == ROOT_CGROUP_ID => "/".to_owned(),
            "" => format!("id {}", level.id),
            name => self.level_path(index, name).unwrap_or_else(|| clean(name)),
        }
    }

    /// A level of the victim's memory cgroups as the object of a fact.
    pub(crate) fn level_entity(&self, index: usize) -> Entity {
        cgroup_entity(self.node, self.level_name(index))
    }

    /// The container that it lived in.
    pub(crate) fn container(&self) -> Option<&'a Container> {
        self.signals
            .iter()
            .find_map(|signal| signal.subject.container.as_ref())
    }

    /// Whether a level's limit is that of the pod or of one of its containers: the pod's own cgroup,
    /// which carries its UID, is at that level or above. Above it the limits are the node's.
    pub(crate) fn is_limit_of_pod(&self, index: usize) -> bool {
        let Workload::Pod(uid) = &self.workload else {
            return false;
        };
        let uid = without_separators(uid);
        let levels = self.oom.and_then(|oom| oom.record.chain.get(index..));
        levels
            .unwrap_or_default()
            .iter()
            .any(|level| without_separators(&level.name).contains(&uid))
    }

    /// The file that holds the limit of a level on the node; absent when its path is not known.
    pub(crate) fn limit_file(&self, index: usize) -> Option<String> {
        let cgroup = self.oom?.signal.subject.cgroup.as_ref()?;
        let name = self.level_name(index);
        let path = name.strip_prefix('/').filter(|path| !path.is_empty())?;
        Some(if cgroup.hierarchy == 0 {
            format!("/sys/fs/cgroup/{path}/memory.max")
        } else {
            format!("/sys/fs/cgroup/memory/{path}/memory.limit_in_bytes")
        })
    }

    /// Everything a person may call it by.
    pub(crate) fn aliases(&self) -> Vec<String> {
        let signals = self.signals.iter();
        let mut aliases: Vec<String> = signals.flat_map(|signal| names_of(signal)).collect();
        aliases.extend(self.limiting().map(|(index, _)| self.level_name(index)));
        aliases
    }

    /// The ids of the signals that it is made of.
    pub(crate) fn signal_ids(&self) -> impl Iterator<Item = &'a SignalId> + '_ {
        self.signals.iter().map(|signal| &signal.id)
    }

    fn level_path(&self, index: usize, name: &str) -> Option<String> {
        let own = self.oom?.signal.subject.cgroup.as_ref()?.path.as_deref()?;
        let mut path = own;
        for _ in 0..index {
            path = path.rsplit_once('/')?.0;
        }
        (path.rsplit_once('/')?.1 == name).then(|| clean(path))
    }
}

impl<'a> Scene<'a> {
    /// Signals of the node around a time that tell of more than their own process.
    pub(crate) fn landmarks_near(&self, node: &NodeName, at: Timestamp) -> Vec<&'a Signal> {
        let near = self.window.landmarks_near(node, at, SHORTAGE_MARGIN);
        near.into_iter()
            .filter(|(arrival, _)| *arrival < self.until)
            .map(|(_, signal)| signal)
            .collect()
    }

    fn find<T>(
        &self,
        signals: &[&'a Signal],
        read: impl Fn(&'a SignalBody) -> Option<&'a T>,
    ) -> Option<Observed<'a, T>> {
        signals.iter().find_map(|signal| {
            Some(Observed {
                signal,
                at: believed(signal.observed_at, self.now),
                record: read(&signal.body)?,
            })
        })
    }

    fn init_exit(
        &self,
        fault: &Signal,
        nearby: &[&'a Signal],
    ) -> Option<Observed<'a, ProcessExit>> {
        let margin =
            fault.observed_at.minus(CONTAINER_MARGIN)..=fault.observed_at.plus(CONTAINER_MARGIN);
        let inits: Vec<&Signal> = nearby
            .iter()
            .filter(|signal| margin.contains(&signal.observed_at))
            .filter(|signal| {
                let process = signal.subject.process.as_ref();
                process.is_some_and(|process| process.container_init)
            })
            .filter(|signal| !is_same_process(signal, fault) && shares_container(signal, fault))
            .copied()
            .collect();
        self.find(&inits, |body| match body {
            SignalBody::ProcessExit(exit) => Some(exit),
            _ => None,
        })
    }
}

/// The systemd driver writes a pod's UID with `_` for `-`.
fn without_separators(name: &str) -> String {
    name.replace(['-', '_'], "")
}

/// Whether two signals are about the same container: by its id, else by its cgroup.
pub(crate) fn shares_container(one: &Signal, other: &Signal) -> bool {
    if let (Some(one), Some(other)) = (&one.subject.container, &other.subject.container) {
        return one.id == other.id;
    }
    match (&one.subject.cgroup, &other.subject.cgroup) {
        (Some(one), Some(other)) => one.id == other.id && one.hierarchy == other.hierarchy,
        _ => false,
    }
}

fn is_same_process(one: &Signal, other: &Signal) -> bool {
    match (&one.subject.process, &other.subject.process) {
        (Some(one), Some(other)) => one.pid == other.pid,
        _ => false,
    }
}

/// The fullest word on the process: a start time beats none, then a pid in its own namespace.
fn best_process<'a>(signals: &[&'a Signal]) -> Option<&'a Process> {
    signals
        .iter()
        .filter_map(|signal| signal.subject.process.as_ref())
        .rev()
        .max_by_key(|process| {
            (
                process.container_init,
                process.start_ktime_ns != 0,
                process.namespace_pid != 0,
                process.parent_pid != 0,
                !process.comm.is_empty(),
            )
        })
}

fn fellow_victims<'a>(fault: &Signal, nearby: &[&'a Signal]) -> Vec<&'a Process> {
    nearby
        .iter()
        .filter(|signal| match &signal.body {
            SignalBody::OomKill(kill) => kill.scope == OomScope::Global,
            _ => false,
        })
        .filter(|signal| !is_same_process(signal, fault))
        .filter_map(|signal| signal.subject.process.as_ref())
        .collect()
}
