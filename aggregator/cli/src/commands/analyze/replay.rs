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
        let at = batch.iter().map(|signal| signal.observed_at).max();
        replay.step(
            at.unwrap_or(now).min(now),
            batch.iter().map(|s| (*s).clone()).collect(),
        );
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
