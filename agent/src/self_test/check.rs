//! What a check is: where something is made to happen, what, and which signal must tell of it. Must hold no
//! check itself.

use std::{collections::BTreeMap, process::ExitStatus};

use inquest_proto::v1;

use super::{actor::Actor, scratch::Limit};

/// One thing that is made to happen and must be told.
///
/// To add one: a `CHECK` in the file of the signal's family, and a line in the table of `self_test.rs`.
pub(super) struct Check {
    /// The kind of signal, as `inquest signal list --kind` spells it.
    pub(super) name: &'static str,
    /// The probe that must be attached for it; `None` for what is read without a probe.
    pub(super) probe: Option<&'static str>,
    /// What must be told, for people.
    pub(super) expects: &'static str,
    /// Where the act happens.
    pub(super) place: Place,
    /// Makes it happen. Runs in a process of its own at that place, single-threaded, without a runtime.
    pub(super) act: fn(&Actor) -> anyhow::Result<()>,
    /// Whether this signal tells what was done, truly in every part that the deed knows.
    pub(super) is_told_by: fn(&v1::Signal, &Deed) -> bool,
}

/// Where an act happens: always in a cgroup of its own.
pub(super) struct Place {
    /// What that cgroup may use.
    pub(super) limits: &'static [Limit],
    /// In a network namespace of its own, with its loopback device up.
    pub(super) network: bool,
    /// As process 1 of a pid namespace of its own, which is how the agent knows a container's init.
    pub(super) init: bool,
}

impl Place {
    /// A cgroup, and nothing else of its own.
    pub(super) const CGROUP: Self = Self {
        limits: &[],
        network: false,
        init: false,
    };
}

/// What was done, as the one who did it knows: the truth that signals are held against.
#[derive(Debug)]
pub(super) struct Deed {
    /// The process, by its pid here.
    pub(super) pid: u32,
    /// The path of its cgroup, as signals spell it.
    pub(super) cgroup: String,
    /// The inode of its network namespace.
    pub(super) netns: u64,
    /// What its act said about itself.
    pub(super) facts: BTreeMap<String, String>,
    /// How the process ended.
    pub(super) ended: ExitStatus,
}

impl Deed {
    /// Whether a signal is about the process of the deed, and names its cgroup.
    pub(super) fn is_subject(&self, signal: &v1::Signal) -> bool {
        self.is_home(signal) && self.is_process(signal)
    }

    /// Whether a signal names the cgroup of the deed.
    pub(super) fn is_home(&self, signal: &v1::Signal) -> bool {
        cgroup_of(signal).is_some_and(|cgroup| cgroup.path == self.cgroup)
    }

    /// Whether a signal is about the process of the deed.
    pub(super) fn is_process(&self, signal: &v1::Signal) -> bool {
        let subject = signal.subject.as_ref();
        let process = subject.and_then(|subject| subject.process.as_ref());
        process.is_some_and(|process| process.pid == self.pid)
    }

    /// What the act said under this name; nothing when it said nothing.
    pub(super) fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }
}

/// The cgroup that a signal is about.
pub(super) fn cgroup_of(signal: &v1::Signal) -> Option<&v1::Cgroup> {
    signal.subject.as_ref()?.cgroup.as_ref()
}

/// A check cannot be made on this machine, which is no failure of the agent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotPossible(pub(super) String);
