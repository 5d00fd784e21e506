//! One node's part of the window: places of signals, in every order in which they are looked for. Must
//! hold no signal itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Arrival;
use super::weight::{Weight, is_landmark};
use crate::config::{MAX_ENDS_PER_NODE, MAX_SIGNS_PER_NODE, MAX_SIGNS_PER_WORKLOAD, WINDOW};
use crate::correlate::workload::{Workload, home_of};
use crate::model::{Signal, Timestamp};

/// The places of one node's signals.
#[derive(Debug, Default)]
pub(super) struct NodeWindow {
    pub(super) all: Places,
    by_weight: BTreeMap<Weight, BTreeSet<Arrival>>,
    by_pid: BTreeMap<u32, BTreeSet<Arrival>>,
    pub(super) ends: Places,
    /// The part of `ends` that tells of more than its own process.
    pub(super) landmarks: Places,
    pub(super) ends_of: BTreeMap<Workload, Places>,
    /// Signs and samples.
    pub(super) signs_of: BTreeMap<Workload, Places>,
}

/// Places in order of time.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeSet<(Timestamp, Arrival)>);

impl NodeWindow {
    pub(super) fn insert(&mut self, arrival: Arrival, signal: &Signal, weight: Weight) {
        let place = (signal.observed_at, arrival);
        self.all.0.insert(place);
        self.by_weight.entry(weight).or_default().insert(arrival);
        if let Some(pid) = pid_of(signal) {
            self.by_pid.entry(pid).or_default().insert(arrival);
        }
        let home = home_of(signal);
        if !weight.is_end() {
            self.signs_of.entry(home).or_default().0.insert(place);
            return;
        }
        self.ends.0.insert(place);
        self.ends_of.entry(home).or_default().0.insert(place);
        if is_landmark(signal) {
            self.landmarks.0.insert(place);
        }
    }

    pub(super) fn remove(&mut self, arrival: Arrival, signal: &Signal) {
        let place = (signal.observed_at, arrival);
        for places in [&mut self.all, &mut self.ends, &mut self.landmarks] {
            places.0.remove(&place);
        }
        for arrivals in self.by_weight.values_mut() {
            arrivals.remove(&arrival);
        }
        let home = home_of(signal);
        for places in [&mut self.ends_of, &mut self.signs_of] {
            if let Some(of_home) = places.get_mut(&home) {
                of_home.0.remove(&place);
                if of_home.0.is_empty() {
                    places.remove(&home);
                }
            }
        }
        let Some(pid) = pid_of(signal) else { return };
        if let Some(arrivals) = self.by_pid.get_mut(&pid) {
            arrivals.remove(&arrival);
            if arrivals.is_empty() {
                self.by_pid.remove(&pid);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.0.is_empty()
    }

    pub(super) fn of_pid(&self, pid: u32) -> impl Iterator<Item = Arrival> {
        self.by_pid.get(&pid).into_iter().flatten().copied()
    }

    /// What is older than the window.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<Arrival> {
        let Some(newest) = self.all.newest() else {
            return Vec::new();
        };
        let oldest_kept = newest.min(now).minus(WINDOW);
        let older = self.all.0.range(..(oldest_kept, Arrival::default()));
        older.map(|(_, arrival)| *arrival).collect()
    }

    /// The earliest arrivals beyond what may be kept.
    pub(super) fn excess(&self) -> Vec<Arrival> {
        let mut excess = Vec::new();
        for (weight, arrivals) in &self.by_weight {
            let max = match weight {
                Weight::End | Weight::MinorEnd => MAX_ENDS_PER_NODE,
                Weight::Sign | Weight::Sample => MAX_SIGNS_PER_NODE,
            };
            let surplus = arrivals.len().saturating_sub(max);
            excess.extend(arrivals.iter().take(surplus));
        }
        for places in self.signs_of.values() {
            let surplus = places.0.len().saturating_sub(MAX_SIGNS_PER_WORKLOAD);
            if surplus > 0 {
                let mut arrivals: Vec<_> = places.0.iter().map(|(_, arrival)| *arrival).collect();
                arrivals.sort_unstable();
                excess.extend(arrivals.iter().take(surplus));
            }
        }
        excess
    }
}

impl Places {
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.0.last().map(|(at, _)| *at)
    }

    /// Those from `start` to `end`, both included; none when `end` is before `start`.
    pub(super) fn between(
        &self,
        start: Timestamp,
        end: Timestamp,
    ) -> impl DoubleEndedIterator<Item = Arrival> {
        let first = (start, Arrival::default());
        let last = (end.max(start), Arrival(u64::MAX));
        let within = self.0.range(first..=last);
        within
            .filter(move |(at, _)| *at <= end)
            .map(|(_, arrival)| *arrival)
    }

    /// At most `max` on each side of `at`, those nearest to it, in order of time.
    pub(super) fn near(&self, at: Timestamp, margin: Duration, max: usize) -> Vec<Arrival> {
        let [start, here] = [at.minus(margin), at].map(|at| (at, Arrival::default()));
        let end = at.plus(margin);
        let before = self.0.range(start..here).rev().take(max);
        let after = self.0.range(here..).take_while(|(at, _)| *at <= end);
        let mut near: Vec<Arrival> = before.map(|(_, arrival)| *arrival).collect();
        near.reverse();
        near.extend(after.take(max).map(|(_, arrival)| *arrival));
        near
    }
}

fn pid_of(signal: &Signal) -> Option<u32> {
    signal.subject.process.as_ref().map(|process| process.pid)
}
