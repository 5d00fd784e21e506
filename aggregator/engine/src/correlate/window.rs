//! The recent signals that detectors may correlate, bounded in time and number. Must not judge:
//! it only finds signals again.

mod of_node;
mod weight;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::of_node::NodeWindow;
use self::weight::weigh;
use super::workload::Workload;
use crate::model::{NodeName, Signal, SignalId, Timestamp};

/// Landmarks looked at on each side of a death: more than any honest minute of a node brings, and few
/// enough that a flood of them costs each death the same.
const MAX_LANDMARKS: usize = 256;

/// Place of a signal in the order of arrival.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Arrival(u64);

/// Recent signals, found by id, by process, by workload and by time.
#[derive(Debug, Default)]
pub(crate) struct Window {
    next: Arrival,
    signals: BTreeMap<Arrival, Signal>,
    ids: BTreeSet<SignalId>,
    nodes: BTreeMap<NodeName, NodeWindow>,
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
        let weight = weigh(&signal)?;
        if !self.ids.insert(signal.id.clone()) {
            return None;
        }
        let arrival = self.next;
        self.next = Arrival(arrival.0.saturating_add(1));
        let node = self.nodes.entry(signal.node.clone()).or_default();
        node.insert(arrival, &signal, weight);
        self.signals.insert(arrival, signal);
        Some(arrival)
    }

    /// Forgets what is older than [`crate::config::WINDOW`] by each node's newest signal: by the node's
    /// time and not by `now`, so that a node that sends its spool after an outage is correlated like a
    /// live one.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let nodes = self.nodes.values();
        let expired: Vec<Arrival> = nodes.flat_map(|node| node.expired(now)).collect();
        for arrival in expired {
            self.remove(arrival);
        }
    }

    /// Forgets the earliest arrivals beyond what each node and workload may have; says how many.
    pub(crate) fn truncate(&mut self) -> usize {
        let nodes = self.nodes.values();
        let excess: BTreeSet<Arrival> = nodes.flat_map(NodeWindow::excess).collect();
        for arrival in &excess {
            self.remove(*arrival);
        }
        excess.len()
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
        let node = self.nodes.get(node);
        self.found(node.into_iter().flat_map(move |node| node.of_pid(pid)))
    }

    /// The ends of a node from `start` to `end`, both included, in order of time.
    pub(crate) fn ends_between(
        &self,
        node: &NodeName,
        start: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = (Arrival, &Signal)> {
        let node = self.nodes.get(node).into_iter();
        self.found(node.flat_map(move |node| node.ends.between(start, end)))
    }

    /// Everything of a node from `start` to `end`, both included, in order of time.
    pub(crate) fn between(
        &self,
        node: &NodeName,
        start: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = (Arrival, &Signal)> {
        let node = self.nodes.get(node).into_iter();
        self.found(node.flat_map(move |node| node.all.between(start, end)))
    }

    /// The ends of a workload's processes from `start` to `end`, both included, newest first.
    pub(crate) fn ends_of(
        &self,
        node: &NodeName,
        workload: &Workload,
        start: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = (Arrival, &Signal)> {
        let places = self.nodes.get(node);
        let places = places.and_then(|node| node.ends_of.get(workload));
        let places = places.into_iter();
        self.found(places.flat_map(move |places| places.between(start, end).rev()))
    }

    /// The time of a workload's newest sign or sample.
    pub(crate) fn newest_sign_of(&self, node: &NodeName, workload: &Workload) -> Option<Timestamp> {
        self.nodes.get(node)?.signs_of.get(workload)?.newest()
    }

    /// The signs and samples of a workload from `start` to `end`, both included, in order of time.
    pub(crate) fn signs_of(
        &self,
        node: &NodeName,
        workload: &Workload,
        start: Timestamp,
        end: Timestamp,
    ) -> impl Iterator<Item = (Arrival, &Signal)> {
        let places = self.nodes.get(node);
        let places = places.and_then(|node| node.signs_of.get(workload));
        let places = places.into_iter();
        self.found(places.flat_map(move |places| places.between(start, end)))
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
        let Some(node) = self.nodes.get(node) else {
            return Vec::new();
        };
        let near = node.landmarks.near(at, margin, MAX_LANDMARKS);
        self.found(near.into_iter()).collect()
    }

    fn found(
        &self,
        arrivals: impl Iterator<Item = Arrival>,
    ) -> impl Iterator<Item = (Arrival, &Signal)> {
        arrivals.filter_map(|arrival| Some((arrival, self.get(arrival)?)))
    }

    fn remove(&mut self, arrival: Arrival) {
        let Some(signal) = self.signals.remove(&arrival) else {
            return;
        };
        self.ids.remove(&signal.id);
        if let Some(node) = self.nodes.get_mut(&signal.node) {
            node.remove(arrival, &signal);
            if node.is_empty() {
                self.nodes.remove(&signal.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Window;
    use crate::config::{MAX_ENDS_PER_NODE, MAX_SIGNS_PER_NODE, MAX_SIGNS_PER_WORKLOAD};
    use crate::model::SignalBody;
    use crate::model::signal::{PidsLimitHit, ResourceUsage};
    use crate::testing::{Actor, at_ms};

    /// Inserts so many signals of a kind, each in the cgroup of its number modulo `cgroups`.
    fn insert(window: &mut Window, of: &str, count: usize, cgroups: u64, body: &SignalBody) {
        for number in 0..count as u64 {
            let cgroup = number % cgroups;
            let actor = Actor::new("job", 7).in_cgroup(cgroup, &format!("/{of}-{cgroup}"));
            let id = format!("{of}-{number}");
            window.insert(actor.signal(&id, at_ms(0), body.clone()));
        }
        window.truncate();
    }

    #[test]
    fn samples_push_out_neither_ends_nor_signs() {
        let mut window = Window::default();
        let sample = SignalBody::ResourceUsage(Box::default());
        let hit = SignalBody::PidsLimitHit(PidsLimitHit::default());
        window.insert(Actor::new("job", 8).exit("end", at_ms(0), 9));
        insert(&mut window, "sign", 1, 1, &hit);
        insert(&mut window, "sample", 3 * MAX_SIGNS_PER_NODE, 1000, &sample);
        assert!(window.holds(&crate::model::SignalId("end".to_owned())));
        assert!(window.holds(&crate::model::SignalId("sign-0".to_owned())));
        assert_eq!(window.signals.len(), 2 + MAX_SIGNS_PER_NODE);
        assert_eq!(*sample_of(&sample), ResourceUsage::default());
    }

    fn sample_of(body: &SignalBody) -> &ResourceUsage {
        match body {
            SignalBody::ResourceUsage(usage) => usage,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_storm_in_one_workload_costs_no_other_its_past() {
        let mut window = Window::default();
        let hit = SignalBody::PidsLimitHit(PidsLimitHit::default());
        insert(&mut window, "quiet", 3, 1, &hit);
        insert(&mut window, "storm", 4 * MAX_SIGNS_PER_WORKLOAD, 1, &hit);
        assert_eq!(window.signals.len(), 3 + MAX_SIGNS_PER_WORKLOAD);
    }

    #[test]
    fn each_node_has_a_bound_of_its_own() {
        let mut window = Window::default();
        let actor = Actor::new("job", 7);
        for number in 0..MAX_ENDS_PER_NODE + 10 {
            window.insert(actor.exit(&format!("a-{number}"), at_ms(0), 9));
        }
        let mut other = actor.exit("b", at_ms(0), 9);
        other.node.0 = "node-2".to_owned();
        window.insert(other);
        assert_eq!(window.truncate(), 10);
        assert_eq!(window.signals.len(), MAX_ENDS_PER_NODE + 1);
    }

    #[test]
    fn what_is_forgotten_leaves_no_trace() {
        let mut window = Window::default();
        let hit = SignalBody::PidsLimitHit(PidsLimitHit::default());
        insert(&mut window, "sign", 5, 2, &hit);
        window.insert(Actor::new("job", 8).exit("end", at_ms(0), 9));
        let newer = Actor::new("job", 9).exit("newer", at_ms(3_600_000), 9);
        window.insert(newer);
        window.expire(at_ms(3_600_000));
        assert_eq!(window.signals.len(), 1);
        assert_eq!(window.ids.len(), 1);
    }
}
