//! Which workload a signal is about, as far as its subject tells. Must not look names up: without
//! an inventory of Kubernetes objects a pod is its UID.

use crate::explain::quote::clean;
use crate::model::signal::{Cgroup, Process};
use crate::model::{Entity, EntityKind, Fingerprint, NodeName, Signal, SignalBody, Subject};

/// What kind of thing fails: faults of one workload in one domain are one incident.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Domain {
    /// Its processes and what they need on the node: memory, files, disks, tasks.
    Runtime,
    /// Whom it talks to.
    Network,
    /// It runs, but slowly.
    Performance,
}

impl Domain {
    const ALL: [Self; 3] = [Self::Runtime, Self::Network, Self::Performance];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Runtime => "runtime",
            Self::Network => "network",
            Self::Performance => "performance",
        }
    }
}

/// What fails: the smallest thing that outlives one process.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Workload {
    /// A pod by its UID.
    Pod(String),
    /// A container or service by its cgroup's path.
    Cgroup(String),
    /// A cgroup whose path could not be resolved: hierarchy and id.
    UnresolvedCgroup(u32, u64),
    /// Processes of one name in the root cgroup.
    Command(String),
    /// The node itself.
    Node,
    /// Nothing is known.
    Unknown,
}

impl Workload {
    /// The best that a subject tells; `Pod` is the most telling, `Unknown` the least.
    pub(crate) fn of(subject: &Subject) -> Self {
        if let Some(uid) = subject.pod_uid.as_ref().filter(|uid| !uid.is_empty()) {
            return Self::Pod(uid.clone());
        }
        match &subject.cgroup {
            Some(Cgroup {
                path: Some(path), ..
            }) if !is_root(path) => Self::Cgroup(path.clone()),
            Some(Cgroup {
                id,
                hierarchy,
                path: None,
            }) => Self::UnresolvedCgroup(*hierarchy, *id),
            _ => subject
                .process
                .as_ref()
                .map_or(Self::Unknown, |process| Self::Command(process.comm.clone())),
        }
    }

    /// The keys of all its incidents.
    pub(crate) fn fingerprints(&self, node: &NodeName) -> [Fingerprint; Domain::ALL.len()] {
        Domain::ALL.map(|domain| self.fingerprint(domain, node))
    }

    /// The key under which its faults in a domain are one incident.
    pub(crate) fn fingerprint(&self, domain: Domain, node: &NodeName) -> Fingerprint {
        let name = match self {
            Self::Pod(uid) => format!("pod/{uid}"),
            Self::Cgroup(path) => format!("cgroup{path}"),
            Self::UnresolvedCgroup(hierarchy, id) => format!("cgroup-id/{hierarchy}/{id}"),
            Self::Command(comm) => format!("command/{comm}"),
            Self::Node => "node".to_owned(),
            Self::Unknown => "unknown".to_owned(),
        };
        let domain = domain.as_str();
        Fingerprint(format!("{domain}/{}/{}", node.0, clean(&name)))
    }

    /// The workload as the object of a report; without any cgroup that is the process itself.
    pub(crate) fn entity(&self, node: &NodeName, process: Option<&Process>) -> Entity {
        match self {
            Self::Pod(uid) => entity(EntityKind::Pod, clean(uid), node),
            Self::Cgroup(path) => entity(EntityKind::Cgroup, clean(path), node),
            Self::UnresolvedCgroup(_, id) => {
                entity(EntityKind::Cgroup, format!("cgroup id {id}"), node)
            }
            Self::Node => node_entity(node),
            Self::Command(_) | Self::Unknown => process_entity(node, process),
        }
    }
}

/// The workload to which a signal happened: the node for what only nodes suffer, and for samples that
/// name nobody.
pub(crate) fn home_of(signal: &Signal) -> Workload {
    let subject = &signal.subject;
    let names_nobody =
        subject.cgroup.is_none() && subject.pod_uid.is_none() && subject.process.is_none();
    match signal.body {
        SignalBody::NodeEvent(_) | SignalBody::DaemonExit(_) => Workload::Node,
        SignalBody::OomKill(_)
        | SignalBody::ProcessExit(_)
        | SignalBody::FatalSignal(_)
        | SignalBody::CoverageGap { .. } => Workload::of(subject),
        _ if names_nobody => Workload::Node,
        _ => Workload::of(subject),
    }
}

/// A process as the object of a report.
pub(crate) fn process_entity(node: &NodeName, process: Option<&Process>) -> Entity {
    let name = process.map_or_else(|| "an unknown process".to_owned(), label);
    entity(EntityKind::Process, name, node)
}

/// A cgroup as the object of a report.
pub(crate) fn cgroup_entity(node: &NodeName, name: String) -> Entity {
    entity(EntityKind::Cgroup, name, node)
}

/// A peer as the object of a report: whichever process should answer at an address.
pub(crate) fn peer_entity(node: &NodeName, address: String) -> Entity {
    entity(EntityKind::Process, address, node)
}

/// A node as the object of a report.
pub(crate) fn node_entity(node: &NodeName) -> Entity {
    entity(EntityKind::Node, clean(&node.0), node)
}

/// A process as texts name it: `comm[pid]`.
pub(crate) fn label(process: &Process) -> String {
    if process.comm.is_empty() {
        format!("unknown[{}]", process.pid)
    } else {
        format!("{}[{}]", clean(&process.comm), process.pid)
    }
}

fn is_root(path: &str) -> bool {
    path.is_empty() || path == "/"
}

fn entity(kind: EntityKind, name: String, node: &NodeName) -> Entity {
    Entity {
        kind,
        namespace: String::new(),
        name,
        container: String::new(),
        node: node.clone(),
    }
}
