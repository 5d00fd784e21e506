//! Turns what happens to processes and cgroups into signals, with what procfs still tells of the sender of a fatal
//! signal. Must not judge what any of it means.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use aya::Ebpf;
use inquest_agent_abi::{CgroupRemoved, ProcessExec, ProcessExit, SignalSource};
use inquest_proto::v1::{self, loss::Stage};

use super::{
    last_words::LastWords, procfs, rate_limit::RateLimit, recent_processes::RecentProcesses,
    ring_buffer::OpenError,
};
use crate::{
    attribute::{Attributor, ExitReadings},
    decode,
    loss::Losses,
};

/// What is remembered between two records of processes and cgroups.
pub(super) struct Lifecycle {
    last_words: LastWords,
    removal_rate: RateLimit,
    recent_exits: RecentProcesses,
}

/// Returns the start of the cgroup's program, if this is it, and the execution itself.
pub(super) fn executed(exec: &ProcessExec, attributor: &mut Attributor) -> Vec<v1::Signal> {
    let start = attributor.start_signal(exec);
    start
        .into_iter()
        .chain([attributor.exec_signal(exec)])
        .collect()
}

impl Lifecycle {
    /// Remembers nothing yet; takes the map of last words out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        Ok(Self {
            last_words: LastWords::open(ebpf)?,
            removal_rate: RateLimit::default(),
            recent_exits: RecentProcesses::default(),
        })
    }

    /// Keeps room for the last words of new cgroups.
    pub(super) fn keep_room(&mut self) {
        self.last_words.make_room_if_due();
    }

    /// Returns what came of an end: nothing of a clean one of another than a container's init, which is there for
    /// whoever knows the process.
    pub(super) fn exited(
        &mut self,
        exit: &ProcessExit,
        attributor: &mut Attributor,
    ) -> Vec<v1::Signal> {
        let is_failure = exit.wait_status != 0 || exit.process.container_init == 1;
        if is_failure && self.recent_exits.is_new(&exit.process) {
            self.ended(exit, attributor)
        } else {
            Vec::new()
        }
    }

    fn ended(&self, exit: &ProcessExit, attributor: &mut Attributor) -> Vec<v1::Signal> {
        let readings = ExitReadings {
            sender_program: sender_program(exit),
            before: self.last_words.before(exit, attributor),
        };
        attributor.exit_signals(exit, readings)
    }

    /// Returns that a cgroup was removed; of those that are no container's or pod's, as many as one parent may cause.
    pub(super) fn removed(
        &mut self,
        removed: &CgroupRemoved,
        attributor: &mut Attributor,
        losses: &mut Losses,
    ) -> Option<v1::Signal> {
        let ktime_ns = removed.header.ktime_ns;
        let signal = attributor.removed_signal(removed);
        if is_owned(&signal) || self.removal_rate.admit(parent_of(&signal), ktime_ns) {
            Some(signal)
        } else {
            losses.add(Stage::RateLimit, "cgroup_removal_rate", 1);
            None
        }
    }
}

fn is_owned(signal: &v1::Signal) -> bool {
    let subject = signal.subject.as_ref();
    subject.is_some_and(|subject| subject.container.is_some() || !subject.pod_uid.is_empty())
}

/// Returns a number that stands for the parent of the signal's cgroup.
fn parent_of(signal: &v1::Signal) -> u64 {
    let cgroup = signal
        .subject
        .as_ref()
        .and_then(|subject| subject.cgroup.as_ref());
    let path = cgroup.map_or("", |cgroup| cgroup.path.as_str());
    let mut hasher = DefaultHasher::new();
    path.rsplit_once('/')
        .map(|(parent, _)| parent)
        .hash(&mut hasher);
    hasher.finish()
}

/// Asks for the file that the sender of a fatal signal runs; runtimes send some and end at once.
fn sender_program(exit: &ProcessExit) -> Option<String> {
    let is_fatal = exit.wait_status & 0x7f != 0;
    let sender = &exit.origin.sender;
    let by_other = exit.origin.source == SignalSource::USER && sender.pid != exit.process.pid;
    if is_fatal && by_other {
        procfs::program(sender.pid, &decode::text(&sender.comm))
    } else {
        None
    }
}
