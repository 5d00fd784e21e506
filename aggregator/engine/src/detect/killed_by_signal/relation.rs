//! What the sender of a signal is to its victim: as the agent told, else by pids and cgroups. Must not say
//! whether it was right to send it.

use crate::correlate::death::Death;
use crate::model::signal::{Cgroup, FatalSignal, Process, SenderClass};

/// What the sender is to the victim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Relation {
    Itself,
    Parent,
    Sibling,
    Pod,
    Kubelet,
    Runtime,
    Init,
    Host,
    OtherContainer,
    OtherCgroup,
    Unknown,
}

impl Relation {
    /// The sender as texts introduce it.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Itself => "the process itself",
            Self::Parent => "its own parent",
            Self::Sibling => "a process of the same cgroup",
            Self::Pod => "a process of another container of the same pod",
            Self::Kubelet => "the kubelet",
            Self::Runtime => "the container runtime",
            Self::Init => "the init of the node",
            Self::Host => "a process of the node, outside containers",
            Self::OtherContainer => "a process of another container",
            Self::OtherCgroup => "a process of another cgroup",
            Self::Unknown => "a process whose place is not known",
        }
    }

    const fn of_class(class: SenderClass) -> Option<Self> {
        Some(match class {
            SenderClass::Itself => Self::Itself,
            SenderClass::Parent => Self::Parent,
            SenderClass::Sibling => Self::Sibling,
            SenderClass::Pod => Self::Pod,
            SenderClass::Kubelet => Self::Kubelet,
            SenderClass::Runtime => Self::Runtime,
            SenderClass::Init => Self::Init,
            SenderClass::Host => Self::Host,
            SenderClass::OtherContainer => Self::OtherContainer,
            SenderClass::Kernel | SenderClass::Unknown => return None,
        })
    }
}

/// What the sender of the signal that ended a process is to it.
pub(super) fn relation(death: &Death<'_>, fatal: &FatalSignal) -> Relation {
    Relation::of_class(fatal.sender_class).unwrap_or_else(|| by_place(death, fatal))
}

fn by_place(death: &Death<'_>, fatal: &FatalSignal) -> Relation {
    let (Some(victim), Some(sender)) = (death.process, &fatal.sender) else {
        return Relation::Unknown;
    };
    if is_same(victim, sender) {
        return Relation::Itself;
    }
    if sender.pid != 0 && sender.pid == victim.parent_pid {
        return Relation::Parent;
    }
    let own = death
        .signals
        .iter()
        .find_map(|signal| signal.subject.cgroup.as_ref());
    match (own, &fatal.sender_cgroup) {
        (Some(own), Some(senders)) if is_same_cgroup(own, senders) => Relation::Sibling,
        (Some(own), Some(senders)) if own.hierarchy == senders.hierarchy => Relation::OtherCgroup,
        _ => Relation::Unknown,
    }
}

fn is_same(victim: &Process, sender: &Process) -> bool {
    victim.pid == sender.pid
        && (victim.start_ktime_ns == sender.start_ktime_ns
            || victim.start_ktime_ns == 0
            || sender.start_ktime_ns == 0)
}

fn is_same_cgroup(one: &Cgroup, other: &Cgroup) -> bool {
    one.id == other.id && one.hierarchy == other.hierarchy
}
