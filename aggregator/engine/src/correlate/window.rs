//! The recent signals that detectors may correlate, bounded in time and number. Must not judge:
//! it only finds signals again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::{MAX_RECENT_SIGNALS, WINDOW};
use crate::model::signal::OomScope;
use crate::model::{NodeName, Signal, SignalBody, SignalId, Timestamp};

/// Landmarks looked at on each side of a death: more than any honest minute of a node brings, and few
/// enough that a flood of them costs each death the same.
const MAX_LANDMARKS: usize = 256;

/// Place of a signal in the order of arrival.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Arrival(u64);

/// Recent signals, found by id, by process and by time.
#[derive(Debug, Default)]
pub(crate) struct Window {
    next: Arrival,
    signals: BTreeMap<Arrival, Signal>,
    ids: BTreeSet<SignalId>,
    by_pid: BTreeMap<(NodeName, u32), BTreeSet<Arrival>>,
    by_time: BTreeMap<NodeName, BTreeSet<(Timestamp, Arrival)>>,
    /// The part of `by_time` that tells of more than its own process.
    landmarks: BTreeMap<NodeName, BTreeSet<(Timestamp, Arrival)>>,
}

impl Window {
    /// The place that the next signal will take; everything before it arrived earlier.
    pub(crate) fn next(&self) -> Arrival {
        self.next
    }

    /// Whether a signal of this id is held.
    pub(crate) fn holds(&self, id: &SignalId) -> bool {
        self.ids.contains(id)
    }

    /// Keeps a signal; gives nothing when it is held already or when no detector would look at it.
    pub(crate) fn insert(&mut self, signal: Signal) -> Option<Arrival> {
        if !is_telling(&signal) || !self.ids.insert(signal.id.clone()) {
            return None;
        }
        let arrival = self.next;
        self.next = Arrival(arrival.0.saturating_add(1));
        if let Some(process) = &signal.subject.process {
            self.by_pid
                .entry((signal.node.clone(), process.pid))
                .or_default()
                .insert(arrival);
        }
        let place = (signal.observed_at, arrival);
        if is_landmark(&signal) {
            let landmarks = self.landmarks.entry(signal.node.clone());
            landmarks.or_default().insert(place);
        }
        let times = self.by_time.entry(signal.node.clone());
        times.or_default().insert(place);
        self.signals.insert(arrival, signal);
        Some(arrival)
    }

    /// Forgets what is older than [`WINDOW`] by each node's newest signal: by the node's time and not
    /// by `now`, so that a node that sends its spool after an outage is correlated like a live one.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let mut expired = Vec::new();
        for times in self.by_time.values() {
            let Some((newest, _)) = times.last() else {
                continue;
            };
            let oldest_kept = (*newest).min(now).minus(WINDOW);
            expired.extend(
                times
                    .range(..(oldest_kept, Arrival::default()))
                    .map(|(_, arrival)| *arrival),
            );
        }
        for arrival in expired {
            self.remove(arrival);
        }
    }

    /// Forgets the earliest arrivals beyond [`MAX_RECENT_SIGNALS`]; says how many.
    pub(crate) fn truncate(&mut self) -> usize {
        let excess = self.signals.len().saturating_sub(MAX_RECENT_SIGNALS);
        for _ in 0..excess {
            let Some(earliest) = self.signals.keys().next().copied() else {
                break;
            };
            self.remove(earliest);
        }
        excess
    }

    /// The signal at a place.
    pub(crate) fn get(&self, arrival: Arrival) -> Option<&Signal> {
        self.signals.get(&arrival)
    }

    /// The signals about a pid of a node, in order of arrival; pids are reused.
    pub(crate) fn of_pid(
        &self,
        node: &NodeName,
        pid: u32,
    ) -> impl Iterator<Item = (Arrival, &Signal)> {
        self.by_pid
            .get(&(node.clone(), pid))
            .into_iter()
            .flatten()
            .filter_map(|arrival| Some((*arrival, self.get(*arrival)?)))
    }

    /// The signals of a node from `start` to `end`, both included, in order of time.
    pub(crate) fn between(
        &self,
        node: &NodeName,
        start: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = (Arrival, &Signal)> {
        self.by_time
            .get(node)
            .into_iter()
            .flat_map(move |times| {
                times
                    .range((start, Arrival::default())..)
                    .take_while(move |(at, _)| *at <= end)
            })
            .filter_map(|(_, arrival)| Some((*arrival, self.get(*arrival)?)))
    }

    /// Those signals of a node within `margin` of `at` that tell of more than their own process: lack
    /// of memory on the whole node, the end of a container, a gap. In order of time; of more than
    /// [`MAX_LANDMARKS`] on a side, the nearest.
    pub(crate) fn landmarks_near(
        &self,
        node: &NodeName,
        at: Timestamp,
        margin: Duration,
    ) -> Vec<(Arrival, &Signal)> {
        let Some(times) = self.landmarks.get(node) else {
            return Vec::new();
        };
        let [start, here] = [at.minus(margin), at].map(|at| (at, Arrival::default()));
        let end = at.plus(margin);
        let before = times.range(start..here).rev().take(MAX_LANDMARKS);
        let after = times.range(here..).take_while(|(at, _)| *at <= end);
        let mut near: Vec<Arrival> = before.map(|(_, arrival)| *arrival).collect();
        near.reverse();
        near.extend(after.take(MAX_LANDMARKS).map(|(_, arrival)| *arrival));
        near.into_iter()
            .filter_map(|arrival| Some((arrival, self.get(arrival)?)))
            .collect()
    }

    fn remove(&mut self, arrival: Arrival) {
        let Some(signal) = self.signals.remove(&arrival) else {
            return;
        };
        self.ids.remove(&signal.id);
        for index in [&mut self.by_time, &mut self.landmarks] {
            if let Some(times) = index.get_mut(&signal.node) {
                times.remove(&(signal.observed_at, arrival));
                if times.is_empty() {
                    index.remove(&signal.node);
                }
            }
        }
        if let Some(process) = signal.subject.process {
            let key = (signal.node, process.pid);
            if let Some(arrivals) = self.by_pid.get_mut(&key) {
                arrivals.remove(&arrival);
                if arrivals.is_empty() {
                    self.by_pid.remove(&key);
                }
            }
        }
    }
}

/// Whether a detector would look at the signal: a busy machine execs and exits thousands of times a
/// minute, and those must not push a kill out of the window.
fn is_telling(signal: &Signal) -> bool {
    match &signal.body {
        SignalBody::OomKill(_) | SignalBody::FatalSignal(_) | SignalBody::CoverageGap { .. } => {
            true
        }
        SignalBody::ProcessExit(exit) => exit.signal != 0 || is_container_init(signal),
        _ => false,
    }
}

fn is_landmark(signal: &Signal) -> bool {
    match &signal.body {
        SignalBody::OomKill(kill) => kill.scope == OomScope::Global,
        SignalBody::CoverageGap { .. } => true,
        SignalBody::ProcessExit(_) => is_container_init(signal),
        _ => false,
    }
}

fn is_container_init(signal: &Signal) -> bool {
    signal
        .subject
        .process
        .as_ref()
        .is_some_and(|process| process.container_init)
}
