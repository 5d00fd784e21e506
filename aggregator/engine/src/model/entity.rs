//! What an incident is about. Must not look anything up.

/// The name under which an agent reports.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeName(pub String);

/// The kind of an entity: a Kubernetes kind as the API spells it, else `Process` or `Cgroup`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EntityKind {
    /// A Kubernetes node; also the machine in host mode.
    Node,
    /// A Kubernetes pod; a container is its pod with `container` set.
    Pod,
    /// A control group, where no Kubernetes object is known.
    Cgroup,
    /// A process outside any cgroup of its own, where no Kubernetes object is known.
    Process,
}

impl EntityKind {
    /// The kind as reports spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Cgroup => "Cgroup",
            Self::Process => "Process",
        }
    }
}

/// A process, cgroup, pod or node that a statement is about.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Entity {
    pub kind: EntityKind,
    /// Kubernetes namespace; empty in host mode and for nodes.
    pub namespace: String,
    /// Object name; a cgroup's path; a process as `comm[pid]`.
    pub name: String,
    /// Container name within the pod; empty when the entity is the pod itself.
    pub container: String,
    /// The node it lives on.
    pub node: NodeName,
}
