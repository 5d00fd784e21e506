//! Replays recorded signals through the engine as they came: in time order, the clock ticking
//! between them. Must hand the engine nothing that the bundle does not hold.

use std::collections::BTreeMap;

use inquest_engine::model::{IncidentId, Inventory, NodeName, Signal, Timestamp};
use inquest_engine::{Engine, Input};

use crate::bundle::read::Bundle;

/// The time of the analysis: when the bundle was recorded, else the newest time in it.
pub(super) fn captured_at(bundle: &Bundle) -> Timestamp {
    let newest = bundle.signals.iter().map(|signal| signal.observed_at).max();
    let recorded = bundle.manifest.captured_at.map(Timestamp::from);
    recorded.or(newest).unwrap_or_default()
}

/// What the engine concludes from the bundle at `now`: open incidents first, then newest first.
pub(super) fn incidents(bundle: &Bundle, now: Timestamp) -> Vec<inquest_api::Incident> {
    let mut replay = Replay {
        engine: Engine::restore(Vec::new(), Vec::new()),
        inventory: inventory(bundle),
        incidents: BTreeMap::new(),
    };
    for batch in in_time_order(&bundle.signals).chunk_by(|a, b| second(a) == second(b)) {
        let newest = batch.iter().map(|signal| signal.observed_at).max();
        let at = newest.unwrap_or(now).min(now);
        // What has been quiet for long resolves before a repeat, as it does when live.
        replay.step(at, Vec::new());
        replay.step(at, batch.iter().map(|signal| (*signal).clone()).collect());
    }
    replay.step(now, Vec::new());
    let mut incidents: Vec<inquest_api::Incident> = replay.incidents.into_values().collect();
    incidents.sort_by(|a, b| {
        let order = b.is_open().cmp(&a.is_open());
        order
            .then(b.opened_at.cmp(&a.opened_at))
            .then(a.id.cmp(&b.id))
    });
    incidents
}

struct Replay {
    engine: Engine,
    inventory: Inventory,
    incidents: BTreeMap<IncidentId, inquest_api::Incident>,
}

impl Replay {
    fn step(&mut self, now: Timestamp, signals: Vec<Signal>) {
        let output = self.engine.step(Input {
            now,
            inventory: &self.inventory,
            signals,
        });
        for incident in &output.changed {
            self.incidents.insert(incident.id.clone(), incident.into());
        }
    }
}

/// The nodes as recorded. A line that could not be read may have been any node's.
fn inventory(bundle: &Bundle) -> Inventory {
    let mut inventory = Inventory::default();
    for node in &bundle.nodes {
        inventory
            .nodes
            .insert(NodeName(node.name.clone()), node.coverage());
    }
    for node in inventory.nodes.values_mut() {
        node.lost = node.lost.saturating_add(bundle.unread.lines);
    }
    inventory
}

fn in_time_order(signals: &[Signal]) -> Vec<&Signal> {
    let mut signals: Vec<&Signal> = signals.iter().collect();
    signals.sort_by_key(|signal| {
        (
            signal.observed_at,
            &signal.node,
            signal.ktime_ns,
            &signal.id,
        )
    });
    signals
}

/// Signals of one second are one step, as an aggregator takes what came in meanwhile.
fn second(signal: &Signal) -> i64 {
    signal.observed_at.as_nanos().div_euclid(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use inquest_api::time::Time;
    use inquest_engine::model::signal::{
        Cgroup, MemoryCgroup, MemoryUsage, OomKill, OomScope, Process,
    };
    use inquest_engine::model::{SignalBody, SignalId, Subject};

    use super::*;
    use crate::bundle::Manifest;
    use crate::bundle::read::Unread;

    const MINUTE: i64 = 60 * 1_000_000_000;
    const START: i64 = 1_780_000_000_000_000_000;

    fn minute(minute: i64) -> Timestamp {
        Timestamp::from_nanos(START + minute * MINUTE)
    }

    fn kill(id: u32, at: i64) -> Signal {
        Signal {
            id: SignalId(format!("a-{id}")),
            node: NodeName("n1".into()),
            observed_at: minute(at),
            ktime_ns: 0,
            subject: Subject {
                cgroup: Some(Cgroup {
                    id: 7,
                    hierarchy: 3,
                    path: Some("/shop/cart".into()),
                }),
                process: Some(Process {
                    pid: 100 + id,
                    start_ktime_ns: u64::from(id),
                    comm: "hog".into(),
                    ..Default::default()
                }),
                ..Default::default()
            },
            body: SignalBody::OomKill(OomKill {
                scope: OomScope::Memcg,
                chain: vec![MemoryCgroup {
                    id: 7,
                    name: "cart".into(),
                    usage_bytes: 48 << 20,
                    max_bytes: Some(48 << 20),
                    ..Default::default()
                }],
                limiting: Some(0),
                victim_usage: MemoryUsage::default(),
                oom_score_adj: 0,
                trigger: None,
                cgroup_stat: None,
                top_processes: Vec::new(),
            }),
        }
    }

    fn bundle(captured: Option<i64>, signals: Vec<Signal>) -> Bundle {
        Bundle {
            manifest: Manifest {
                version: 1,
                cluster: None,
                captured_at: captured.map(|at| Time::from(minute(at))),
                window: None,
            },
            signals,
            nodes: Vec::new(),
            unread: Unread::default(),
        }
    }

    fn replay(bundle: &Bundle) -> Vec<(String, u64)> {
        let incidents = incidents(bundle, captured_at(bundle));
        let summary = incidents.into_iter().map(|i| (i.state, i.occurrences));
        summary.collect()
    }

    #[test]
    fn an_incident_is_open_or_resolved_as_it_was_when_recorded() {
        let signals = vec![kill(1, 0)];
        for (captured, state) in [(None, "open"), (Some(5), "open"), (Some(60), "resolved")] {
            let states = replay(&bundle(captured, signals.clone()));
            assert_eq!(states, [(state.to_owned(), 1)], "{captured:?}");
        }
    }

    #[test]
    fn a_repeat_within_a_day_reopens_and_a_later_one_is_another_incident() {
        let signals = vec![kill(1, 0), kill(2, 120), kill(3, 3 * 24 * 60)];
        let expected = [("open".to_owned(), 1), ("resolved".to_owned(), 2)];
        assert_eq!(replay(&bundle(None, signals)), expected);
    }

    #[test]
    fn the_order_of_the_lines_makes_no_difference() {
        let signals = vec![kill(1, 0), kill(2, 5), kill(3, 9)];
        let reversed = signals.iter().rev().cloned().collect();
        let [a, b] = [signals, reversed].map(|signals| {
            let bundle = bundle(None, signals);
            incidents(&bundle, captured_at(&bundle))
        });
        assert_eq!(a, b);
    }

    #[test]
    fn lines_that_could_not_be_read_count_as_lost_on_every_node() {
        let node = inquest_api::node::Node {
            name: "n1".into(),
            agent_id: "n1".into(),
            agent_version: String::new(),
            kernel_release: String::new(),
            cgroup_version: 0,
            connected: true,
            last_seen_at: Time::from(minute(0)),
            probes: Vec::new(),
            gaps: Vec::new(),
            lost: Vec::new(),
            spool_bytes: 0,
            cost: None,
        };
        let mut bundle = bundle(None, Vec::new());
        bundle.nodes = vec![node];
        bundle.unread.lines = 3;
        assert_eq!(inventory(&bundle).nodes[&NodeName("n1".into())].lost, 3);
    }
}
