//! Which workload a signal is about, as far as its subject tells. Must not look names up: without
//! an inventory of Kubernetes objects a pod is its UID.

use crate::explain::quote::clean;
use crate::model::signal::{Cgroup, Process};
use crate::model::{Entity, EntityKind, Fingerprint, NodeName, Signal, Subject};

/// The failure domain of everything that ends a running process.
const RUNTIME_DOMAIN: &str = "runtime";

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

    /// The key under which its faults are one incident.
    pub(crate) fn fingerprint(&self, node: &NodeName) -> Fingerprint {
        let name = match self {
            Self::Pod(uid) => format!("pod/{uid}"),
            Self::Cgroup(path) => format!("cgroup{path}"),
            Self::UnresolvedCgroup(hierarchy, id) => format!("cgroup-id/{hierarchy}/{id}"),
            Self::Command(comm) => format!("command/{comm}"),
            Self::Unknown => "unknown".to_owned(),
        };
        Fingerprint(format!("{RUNTIME_DOMAIN}/{}/{}", node.0, clean(&name)))
    }

    /// The workload as the object of a report; without any cgroup that is the process itself.
    pub(crate) fn entity(&self, node: &NodeName, process: Option<&Process>) -> Entity {
        match self {
            Self::Pod(uid) => entity(EntityKind::Pod, clean(uid), node),
            Self::Cgroup(path) => entity(EntityKind::Cgroup, clean(path), node),
            Self::UnresolvedCgroup(_, id) => {
                entity(EntityKind::Cgroup, format!("cgroup id {id}"), node)
            }
            Self::Command(_) | Self::Unknown => process_entity(node, process),
        }
    }
}

/// The fingerprint that one signal alone would have.
pub(crate) fn fingerprint_of(signal: &Signal) -> Fingerprint {
    Workload::of(&signal.subject).fingerprint(&signal.node)
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
