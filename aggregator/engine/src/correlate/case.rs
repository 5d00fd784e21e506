//! What detectors look at: the end of a process or the state of a workload, with what the workload went
//! through. Must not say what is wrong.

use std::time::Duration;

use super::coverage::{Coverage, believed};
use super::death::{CONTAINER_MARGIN, Death, Observed, Scene};
use super::troubles::{AFTER_DEATH, BEFORE_DEATH, Record, Troubles};
use super::window::Arrival;
use super::workload::{Workload, home_of};
use crate::config::WINDOW;
use crate::explain::facts::{Fact, FactKind};
use crate::explain::quote::clean;
use crate::explain::signal_name::is_fault_signal;
use crate::model::signal::{ExecFailure, FailedCall};
use crate::model::{
    Entity, EntityKind, EvidenceSource, NodeName, Signal, SignalBody, SignalId, Timestamp,
};

/// How far back other workloads of the node are asked about the same trouble.
const ELSEWHERE: Duration = Duration::from_mins(1);

/// Shells and runtimes end with this plus the number of the signal that ended what they ran.
const OF_SIGNAL: u32 = 128;

/// The highest signal number of Linux.
const MAX_SIGNAL: u32 = 64;

/// Ends of a workload looked at for one that took its main process along, the newest: each death must cost
/// the same, however many there are.
const MAX_FELLOWS: usize = 64;

/// A case for the detectors.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) node: &'a NodeName,
    pub(crate) workload: Workload,
    pub(crate) coverage: Coverage,
    pub(crate) troubles: Troubles<'a>,
    death: Option<Death<'a>>,
    /// Another process of its workload was killed for memory or crashed shortly before its death.
    is_aftermath: bool,
    scene: Scene<'a>,
    newest: Timestamp,
}

impl<'a> Case<'a> {
    /// The end of the process whose signals are `group`.
    pub(crate) fn of_death(scene: Scene<'a>, group: &[Arrival]) -> Option<Self> {
        let death = Death::gather(scene, group)?;
        let observed = death.signals.iter().map(|signal| signal.observed_at);
        let at = observed.clone().max().unwrap_or(death.onset);
        let start = observed.min().unwrap_or(at).minus(BEFORE_DEATH);
        let end = at.plus(AFTER_DEATH);
        Some(Self {
            node: death.node,
            workload: death.workload.clone(),
            coverage: death.coverage.clone(),
            troubles: Troubles::gather(scene, death.node, &death.workload, start, end),
            is_aftermath: follows_a_violent_end(scene, &death),
            death: Some(death),
            scene,
            newest: end,
        })
    }

    /// The state of a workload, as of its newest sign; nothing when there is none.
    pub(crate) fn of_workload(
        scene: Scene<'a>,
        node: &'a NodeName,
        workload: &Workload,
    ) -> Option<Self> {
        let newest = scene.window.newest_sign_of(node, workload)?;
        let start = newest.minus(WINDOW);
        let troubles = Troubles::gather(scene, node, workload, start, newest);
        troubles.signals().next()?;
        let nearby = scene.landmarks_near(node, newest);
        Some(Self {
            node,
            workload: workload.clone(),
            coverage: Coverage::around(node, newest, scene.inventory, &nearby),
            troubles,
            death: None,
            is_aftermath: false,
            scene,
            newest,
        })
    }

    /// The death that it is about; none when it is about a state.
    pub(crate) fn death(&self) -> Option<&Death<'a>> {
        self.death.as_ref()
    }

    /// Its death, when that was the main process of a workload which failed by itself: with an exit code
    /// that says so. Of other processes an error is everyday business: shells probe, greps find nothing,
    /// and monitors try programs that may not be installed. One that ends because another process of its
    /// workload was killed or crashed did not fail: that end is told.
    pub(crate) fn failed_main(&self) -> Option<&Death<'a>> {
        self.death().filter(|death| {
            let failed = death
                .exit
                .is_some_and(|exit| exit.record.signal == 0 && is_failure(exit.record.code));
            let was_to_be_main = || death.is_starter() && self.own_exec_failure().is_some();
            let is_own = failed && death.oom.is_none() && !self.is_aftermath;
            is_own && (death.is_main() || was_to_be_main())
        })
    }

    /// The last execve that failed in the process that died.
    pub(crate) fn own_exec_failure(&self) -> Option<Observed<'a, ExecFailure>> {
        let pid = self.death()?.process?.pid;
        let is_own = |failure: &Observed<'_, ExecFailure>| {
            let process = failure.signal.subject.process.as_ref();
            process.is_some_and(|process| process.pid == pid)
        };
        self.troubles.of::<ExecFailure>().into_iter().rfind(is_own)
    }

    /// What failed before the main process did, oldest first.
    pub(crate) fn last_words(&self) -> &'a [FailedCall] {
        let exit = self.failed_main().and_then(|death| death.exit);
        exit.map_or(&[], |exit| exit.record.last_words.as_slice())
    }

    /// Records of one kind about other workloads of the node, of the last [`ELSEWHERE`], oldest first.
    pub(crate) fn elsewhere<T: Record>(&self) -> Vec<Observed<'a, T>> {
        let start = self.newest.minus(ELSEWHERE);
        let all = self.scene.window.between(self.node, start, self.newest);
        let mut others: Vec<Observed<'a, T>> = all
            .filter(|(arrival, _)| *arrival < self.scene.until)
            .filter_map(|(_, signal)| {
                Some(Observed {
                    signal,
                    at: believed(signal.observed_at, self.scene.now),
                    record: T::read(&signal.body)?,
                })
            })
            .filter(|other| home_of(other.signal) != self.workload)
            .collect();
        others.sort_by_key(|other| (other.at, &other.signal.id));
        others
    }

    /// The workload, or the process when it is in none.
    pub(crate) fn entity(&self) -> Entity {
        match &self.death {
            Some(death) => death.workload_entity(),
            None => self.workload.entity(self.node, None),
        }
    }

    /// Whom it is about, as texts begin.
    pub(crate) fn subject(&self) -> String {
        if let Some(death) = &self.death {
            return death.victim();
        }
        let entity = self.entity();
        match entity.kind {
            EntityKind::Cgroup => format!("cgroup {}", entity.name),
            EntityKind::Pod => format!("pod {}", entity.name),
            EntityKind::Node => format!("node {}", entity.name),
            EntityKind::Process => entity.name,
        }
    }

    /// A fact that one of the troubles shows.
    pub(crate) fn sign<T>(&self, observed: Observed<'_, T>, text: String) -> Fact {
        self.sign_of(observed.signal, observed.at, text)
    }

    /// A fact that a signal shows.
    pub(crate) fn sign_of(&self, signal: &Signal, at: Timestamp, text: String) -> Fact {
        Fact {
            kind: FactKind::Sign("", 0),
            source: source_of(signal),
            entity: self.entity(),
            at,
            text,
            signal: Some(signal.id.clone()),
        }
    }

    /// Everything a person may call it by.
    pub(crate) fn aliases(&self) -> Vec<String> {
        if let Some(death) = &self.death {
            return death.aliases();
        }
        let mut aliases = Vec::new();
        for signal in self.troubles.signals() {
            for alias in names_of(signal) {
                if !aliases.contains(&alias) {
                    aliases.push(alias);
                }
            }
        }
        aliases
    }

    /// The signals that it is made of, for finding it again; of a state, those that brought it are among
    /// the facts of its judgment.
    pub(crate) fn signal_ids(&self) -> impl Iterator<Item = &'a SignalId> + '_ {
        self.death.iter().flat_map(Death::signal_ids)
    }
}

/// Whether the OOM killer or a fault ended another process of a workload shortly before a death in it. What a
/// process was killed by, else, its main process may have sent, when it gave up.
fn follows_a_violent_end(scene: Scene<'_>, death: &Death<'_>) -> bool {
    let Some(exit) = death.exit.filter(|exit| exit.record.code != 0) else {
        return false;
    };
    let at = exit.signal.observed_at;
    let start = at.minus(CONTAINER_MARGIN);
    let fellows = scene
        .window
        .ends_of(death.node, &death.workload, start, at)
        .filter(|(arrival, _)| *arrival < scene.until);
    let pid = |signal: &Signal| signal.subject.process.as_ref().map(|process| process.pid);
    fellows.take(MAX_FELLOWS).any(|(_, signal)| {
        let is_violent = match &signal.body {
            SignalBody::OomKill(_) => true,
            SignalBody::ProcessExit(exit) => is_fault_signal(exit.signal),
            _ => false,
        };
        is_violent && pid(signal) != pid(exit.signal)
    })
}

/// Whether an exit code says that the program failed. With 128 plus a signal's number it says that it was
/// stopped, or that its child was: most programs end so after SIGTERM, and what failed before was survived.
const fn is_failure(code: u32) -> bool {
    code != 0 && (code <= OF_SIGNAL || code > OF_SIGNAL + MAX_SIGNAL)
}

/// Where the records of a kind are read: by probes in the kernel, or by the agent from files.
const fn source_of(signal: &Signal) -> EvidenceSource {
    match signal.body {
        SignalBody::ResourceUsage(_)
        | SignalBody::FilesystemUsage(_)
        | SignalBody::ListenOverflow(_)
        | SignalBody::ConntrackUsage(_)
        | SignalBody::EphemeralPortUsage(_) => EvidenceSource::Node,
        _ => EvidenceSource::Kernel,
    }
}

/// What a person may call the subject of a signal.
pub(crate) fn names_of(signal: &Signal) -> Vec<String> {
    let subject = &signal.subject;
    let process = subject.process.as_ref();
    let container = subject.container.as_ref();
    let cgroup = subject.cgroup.as_ref();
    [
        process.map(|process| process.pid.to_string()),
        subject.pod_uid.clone(),
        container.map(|container| container.id.clone()),
        cgroup.and_then(|cgroup| cgroup.path.clone()),
    ]
    .into_iter()
    .flatten()
    .map(|name| clean(&name))
    .collect()
}
