//! The pure function at the centre: `Engine::step`. Must perform nothing: what it wants done it requests.

use std::collections::BTreeSet;

use crate::config::{Config, MAX_SIGNALS_AT_ONCE};
use crate::correlate::death::{CONTAINER_MARGIN, Death, Scene, shares_container};
use crate::correlate::group::groups_of;
use crate::correlate::window::{Arrival, Window};
use crate::incidents::{Changes, Incidents, Judged};
use crate::model::{Incident, IncidentId, Inventory, Signal, SignalBody, Timestamp};
use crate::rank::judge;

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

/// Judges every death that new signals are about or change, in order of onset.
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
    for group in groups_of(scene.window, &touched_by(scene, new)) {
        let Some(death) = Death::gather(scene, &group) else {
            continue;
        };
        let Some(judgment) = judge(&death) else {
            changes.note(format!("no incident of the end of {}", death.victim()));
            continue;
        };
        let is_known = Death::gather(earlier, &group).is_some_and(|death| judge(&death).is_some());
        all.push(Judged {
            death,
            judgment,
            is_known,
        });
    }
    all.sort_by(|one, other| one.order().cmp(&other.order()));
    all
}

/// The new signals, and those whose meaning they change: the end of a container's process 1 tells of
/// every death in the container.
fn touched_by(scene: Scene<'_>, new: &[Arrival]) -> Vec<Arrival> {
    let mut touched: BTreeSet<Arrival> = new.iter().copied().collect();
    for signal in new.iter().filter_map(|arrival| scene.window.get(*arrival)) {
        if !is_end_of_container(signal) {
            continue;
        }
        let start = signal.observed_at.minus(CONTAINER_MARGIN);
        let end = signal.observed_at.plus(CONTAINER_MARGIN);
        let near = scene.window.between(&signal.node, start, end);
        touched.extend(
            near.filter(|(_, other)| shares_container(signal, other))
                .map(|(arrival, _)| arrival),
        );
    }
    touched.into_iter().collect()
}

fn is_end_of_container(signal: &Signal) -> bool {
    let process = signal.subject.process.as_ref();
    matches!(signal.body, SignalBody::ProcessExit(_))
        && process.is_some_and(|process| process.container_init)
}
