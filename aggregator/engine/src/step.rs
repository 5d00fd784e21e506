//! The pure function at the centre: `Engine::step`. Must perform nothing: what it wants done it requests.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::config::{Config, MAX_SIGNALS_AT_ONCE};
use crate::correlate::case::Case;
use crate::correlate::death::{CONTAINER_MARGIN, Scene, shares_container};
use crate::correlate::group::groups_of;
use crate::correlate::troubles::{AFTER_DEATH, BEFORE_DEATH};
use crate::correlate::window::{Arrival, Window};
use crate::correlate::workload::{Workload, home_of};
use crate::incidents::{Changes, Incidents, Judged};
use crate::model::{Incident, IncidentId, Inventory, NodeName, Signal, SignalBody, Timestamp};
use crate::rank::judge;

/// Ends that one sign is asked to explain, the newest: a workload that crashes in a loop must not make
/// each sign cost more than the one before.
const MAX_EXPLAINED_BY_ONE: usize = 8;

/// Everything that one step may look at.
#[derive(Debug)]
pub struct Input<'a> {
    /// The only clock the engine knows.
    pub now: Timestamp,
    pub inventory: &'a Inventory,
    /// New signals, in the order in which the store has them. May be empty (a tick).
    pub signals: Vec<Signal>,
}

/// What one step concluded and requests.
#[derive(Debug, Default)]
pub struct Output {
    /// Incidents that are new or changed, whole, in id order.
    pub changed: Vec<Incident>,
    /// Incidents that opened or whose cause changed: a model may be asked to explain them.
    pub requested_analyses: Vec<IncidentId>,
    /// Why each decision was taken, in order.
    pub decisions: Vec<String>,
}

/// Holds the open incidents and the recent signals that detectors correlate.
#[derive(Debug, Default)]
pub struct Engine {
    config: Config,
    window: Window,
    incidents: Incidents,
}

impl Engine {
    /// Continues from stored incidents and the signals of the last window, oldest first.
    ///
    /// To continue exactly it needs every signal that arrived within [`crate::config::WINDOW`] of
    /// its node's newest one, and every incident that was seen within
    /// [`Config::reopen_within`]; more of either does no harm.
    pub fn restore(incidents: Vec<Incident>, recent: Vec<Signal>) -> Self {
        let mut window = Window::default();
        for signal in recent {
            window.insert(signal);
        }
        Self {
            config: Config::default(),
            window,
            incidents: Incidents::restore(incidents),
        }
    }

    /// The same engine with other settings.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The incidents that the engine holds, in id order.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter()
    }

    /// Takes new signals and the time; gives what changed. Same state and input, same output.
    ///
    /// Signals may come late, twice or in any order; the order of those that are judged together
    /// ([`MAX_SIGNALS_AT_ONCE`], and so of an ordinary step) makes no difference.
    pub fn step(&mut self, input: Input<'_>) -> Output {
        let Input {
            now,
            inventory,
            signals,
        } = input;
        let mut changes = Changes::default();
        self.window.expire(now);
        self.window.truncate();
        let mut signals = signals.into_iter().peekable();
        let mut forgotten = 0;
        while signals.peek().is_some() {
            let part = signals.by_ref().take(MAX_SIGNALS_AT_ONCE).collect();
            self.take_in(part, now, inventory, &mut changes);
            forgotten += self.window.truncate();
        }
        self.incidents.sweep(now, self.config, &mut changes);
        if forgotten > 0 {
            changes.note(format!(
                "{forgotten} signals left the window early: more came than it may hold"
            ));
        }
        changes.into_output(&self.incidents)
    }

    /// Judges what new signals tell, together with what the window holds.
    fn take_in(
        &mut self,
        signals: Vec<Signal>,
        now: Timestamp,
        inventory: &Inventory,
        changes: &mut Changes,
    ) {
        let before = self.window.next();
        let new = self.take(signals, changes);
        let scene = Scene {
            window: &self.window,
            until: self.window.next(),
            inventory,
            now,
        };
        for judged in judge_touched(scene, &new, before, changes) {
            self.incidents.record(&judged, now, self.config, changes);
        }
    }

    /// Keeps what is new and can matter; a duplicate is one that is in the window or in an incident.
    fn take(&mut self, signals: Vec<Signal>, changes: &mut Changes) -> Vec<Arrival> {
        let mut duplicates = 0_u64;
        let mut new = Vec::new();
        for signal in signals {
            if self.window.holds(&signal.id) || self.incidents.cites(&signal) {
                duplicates += 1;
            } else {
                new.extend(self.window.insert(signal));
            }
        }
        if duplicates > 0 {
            changes.note(format!(
                "{duplicates} signals were seen before and change nothing"
            ));
        }
        new
    }
}

/// Judges every case that new signals are about or change, in order of onset.
fn judge_touched<'a>(
    scene: Scene<'a>,
    new: &[Arrival],
    before: Arrival,
    changes: &mut Changes,
) -> Vec<Judged<'a>> {
    let earlier = Scene {
        until: before,
        ..scene
    };
    let mut all = Vec::new();
    for group in groups_of(scene.window, &ends_touched_by(scene, new)) {
        let Some(case) = Case::of_death(scene, &group) else {
            continue;
        };
        let Some(judgment) = judge(&case).pop() else {
            changes.note(format!("no incident of the end of {}", case.subject()));
            continue;
        };
        let before = Case::of_death(earlier, &group);
        all.push(Judged {
            case: Rc::new(case),
            judgment,
            is_known: before.is_some_and(|case| !judge(&case).is_empty()),
        });
    }
    for (node, workload) in homes_of(scene, new) {
        let Some(case) = Case::of_workload(scene, node, &workload) else {
            continue;
        };
        let case = Rc::new(case);
        all.extend(judge(&case).into_iter().map(|judgment| Judged {
            case: Rc::clone(&case),
            judgment,
            is_known: false,
        }));
    }
    all.sort_by(|one, other| one.order().cmp(&other.order()));
    all
}

/// The ends that new signals are, and those whose meaning they change: the end of a container's process 1
/// tells of every death in the container, and a sign of those of its workload around its time.
fn ends_touched_by(scene: Scene<'_>, new: &[Arrival]) -> Vec<Arrival> {
    let mut touched = BTreeSet::new();
    for arrival in new {
        let Some(signal) = scene.window.get(*arrival) else {
            continue;
        };
        let at = signal.observed_at;
        if !is_end(signal) {
            let (start, end) = (at.minus(AFTER_DEATH), at.plus(BEFORE_DEATH));
            let home = home_of(signal);
            let ends = scene.window.ends_of(&signal.node, &home, start, end);
            touched.extend(ends.take(MAX_EXPLAINED_BY_ONE).map(|(end, _)| end));
            continue;
        }
        touched.insert(*arrival);
        if is_end_of_container(signal) {
            let (start, end) = (at.minus(CONTAINER_MARGIN), at.plus(CONTAINER_MARGIN));
            let near = scene.window.ends_between(&signal.node, start, end);
            let near = near.filter(|(_, other)| shares_container(signal, other));
            touched.extend(near.map(|(end, _)| end));
        }
    }
    touched.into_iter().collect()
}

/// The workloads that new signs are about.
fn homes_of<'a>(scene: Scene<'a>, new: &[Arrival]) -> BTreeSet<(&'a NodeName, Workload)> {
    new.iter()
        .filter_map(|arrival| scene.window.get(*arrival))
        .filter(|signal| !is_end(signal))
        .map(|signal| (&signal.node, home_of(signal)))
        .collect()
}

/// Whether a signal tells of an end rather than of a workload's state.
const fn is_end(signal: &Signal) -> bool {
    matches!(
        signal.body,
        SignalBody::OomKill(_)
            | SignalBody::FatalSignal(_)
            | SignalBody::ProcessExit(_)
            | SignalBody::CoverageGap { .. }
    )
}

fn is_end_of_container(signal: &Signal) -> bool {
    let process = signal.subject.process.as_ref();
    matches!(signal.body, SignalBody::ProcessExit(_))
        && process.is_some_and(|process| process.container_init)
}
