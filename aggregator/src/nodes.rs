//! The live view of the nodes: who reports, what their agents can see and what they lost. Must hold no
//! more per node than its constants allow, whatever an agent sends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use inquest_api::node::{Cost, Gap, Loss, MemoryLevel, Node, Probe};
use inquest_engine::model::{
    Inventory, NodeName, Signal, SignalBody, Timestamp, signal::GapReason,
};
use inquest_proto::v1;

use crate::ingest::Session;

mod loss;

pub use loss::stage_word;
use loss::{INGEST, add, raise};

/// Most gaps kept per node; the oldest go.
const MAX_GAPS: usize = 32;
/// Most probes kept per node; an agent has about ten.
const MAX_PROBES: usize = 64;
/// Longest text kept from a status, in bytes.
const MAX_TEXT_BYTES: usize = 512;
/// A node about which nothing but the time changed is written this often.
const WRITE_EVERY: Duration = Duration::from_mins(1);

/// All nodes that ever reported.
#[derive(Debug, Default)]
pub struct Nodes {
    entries: BTreeMap<NodeName, Entry>,
    /// Names whose stored form is out of date.
    unwritten: BTreeSet<NodeName>,
    inventory: Inventory,
}

#[derive(Debug)]
struct Entry {
    /// Shared with readers; changing it makes a copy only while one still reads.
    node: Arc<Node>,
    /// The agent process whose losses are counted.
    start_id: u64,
    /// What batches of that process told of, summed up. It and the total of a status each count at least a
    /// part of the same losses, so that the larger of the two stands.
    told: Vec<Loss>,
    /// The stream that is open now.
    session: Option<u64>,
    written_at: Timestamp,
}

impl Nodes {
    /// Continues from what was stored; nobody is connected yet.
    pub fn restore(stored: Vec<Node>) -> Self {
        let mut nodes = Self::default();
        for mut node in stored {
            node.connected = false;
            let name = NodeName(node.name.clone());
            nodes.inventory.nodes.insert(name.clone(), node.coverage());
            let entry = Entry {
                node: Arc::new(node),
                start_id: 0,
                told: Vec::new(),
                session: None,
                written_at: Timestamp::EPOCH,
            };
            nodes.entries.insert(name, entry);
        }
        nodes
    }

    /// What the engine reads.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    /// All nodes by name.
    pub fn list(&self) -> Vec<Arc<Node>> {
        let nodes = self.entries.values();
        nodes.map(|entry| Arc::clone(&entry.node)).collect()
    }

    /// Nodes whose stored form is out of date, to be written now.
    pub fn take_unwritten(&mut self, now: Timestamp) -> Vec<Node> {
        let names = std::mem::take(&mut self.unwritten);
        let mut nodes = Vec::new();
        for name in names {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.written_at = now;
                nodes.push(entry.node.as_ref().clone());
            }
        }
        nodes
    }

    /// An agent opened a stream.
    pub fn connected(&mut self, session: &Session, now: Timestamp) {
        let entry = self.entry(&session.node);
        let is_new_process = entry.start_id != session.start_id;
        entry.start_id = session.start_id;
        entry.session = Some(session.number);
        if is_new_process {
            entry.told.clear();
        }
        self.change(session, now, |node| {
            if is_new_process {
                node.lost.retain(|loss| loss.stage == INGEST);
            }
            node.connected = true;
            node.agent_id.clone_from(&session.agent_id);
            node.agent_version = clean(&session.agent_version);
            true
        });
    }

    /// A stream ended; nothing changes when a newer one has taken over.
    pub fn disconnected(&mut self, session: &Session) {
        let Some(entry) = self.entries.get_mut(&session.node) else {
            return;
        };
        if entry.session == Some(session.number) {
            entry.session = None;
            Arc::make_mut(&mut entry.node).connected = false;
            self.unwritten.insert(session.node.clone());
        }
    }

    /// An agent told how it is.
    pub fn reported(&mut self, session: &Session, status: &v1::NodeStatus, now: Timestamp) {
        self.change(session, now, |node| {
            let before = node.clone();
            node.kernel_release = clean(&status.kernel_release);
            node.cgroup_version = status.cgroup_version;
            node.probes = status.probes.iter().take(MAX_PROBES).map(probe).collect();
            node.spool_bytes = status.spool_bytes;
            node.cost = status.cost.map(cost);
            let mut total = Vec::new();
            for loss in &status.lost_total {
                add(&mut total, loss);
            }
            for loss in &total {
                raise(&mut node.lost, loss);
            }
            let untold = Node {
                spool_bytes: node.spool_bytes,
                cost: node.cost,
                ..before
            };
            *node != untold
        });
    }

    /// A batch that is about to be stored: what was lost before it, refused of it, and the gaps it tells of.
    pub fn batch(&mut self, session: &Session, batch: &BatchFacts<'_>, now: Timestamp) {
        let sums = self.entry(&session.node).tell(batch);
        self.change(session, now, |node| {
            let before = (node.lost.clone(), node.gaps.clone());
            for loss in &sums {
                raise(&mut node.lost, loss);
            }
            for loss in batch.refused {
                add(&mut node.lost, loss);
            }
            for gap in batch.signals.iter().filter_map(gap) {
                keep_gap(&mut node.gaps, gap);
            }
            (&node.lost, &node.gaps) != (&before.0, &before.1)
        });
    }

    /// Changes one node; `change` tells whether more than the time is different.
    fn change(
        &mut self,
        session: &Session,
        now: Timestamp,
        change: impl FnOnce(&mut Node) -> bool,
    ) {
        let name = &session.node;
        let entry = self.entry(name);
        let node = Arc::make_mut(&mut entry.node);
        node.last_seen_at = now.into();
        let is_news = change(node);
        let coverage = node.coverage();
        if is_news || now.since(entry.written_at) >= WRITE_EVERY {
            self.unwritten.insert(name.clone());
        }
        self.inventory.nodes.insert(name.clone(), coverage);
    }

    fn entry(&mut self, name: &NodeName) -> &mut Entry {
        self.entries.entry(name.clone()).or_insert_with(|| Entry {
            node: Arc::new(unknown_node(&name.0)),
            start_id: 0,
            told: Vec::new(),
            session: None,
            written_at: Timestamp::EPOCH,
        })
    }
}

impl Entry {
    /// Adds up what a batch says was lost; what changed with its sum. Of an older process it counts no more.
    fn tell(&mut self, batch: &BatchFacts<'_>) -> Vec<Loss> {
        if batch.start_id != self.start_id {
            return Vec::new();
        }
        let told = &mut self.told;
        batch.lost.iter().map(|loss| add(told, loss)).collect()
    }
}

/// What a batch says about its node.
#[derive(Clone, Copy, Debug)]
pub struct BatchFacts<'a> {
    pub start_id: u64,
    pub lost: &'a [v1::Loss],
    pub refused: &'a [v1::Loss],
    pub signals: &'a [Signal],
}

fn gap(signal: &Signal) -> Option<Gap> {
    let SignalBody::CoverageGap { start, end, reason } = signal.body else {
        return None;
    };
    let reason = match reason {
        GapReason::AgentRestarted => "agent_restarted",
        GapReason::AgentStopped => "agent_stopped",
        GapReason::NodeRebooted => "node_rebooted",
        GapReason::Unknown => "unknown",
    };
    Some(Gap {
        start: start.into(),
        end: end.into(),
        reason: reason.to_owned(),
    })
}

/// Keeps the newest gaps, in order of their end.
fn keep_gap(gaps: &mut Vec<Gap>, gap: Gap) {
    if gaps.contains(&gap) {
        return;
    }
    let at = gaps.partition_point(|known| known.end <= gap.end);
    gaps.insert(at, gap);
    let surplus = gaps.len().saturating_sub(MAX_GAPS);
    gaps.drain(..surplus);
}

fn probe(status: &v1::ProbeStatus) -> Probe {
    let state = match status.state() {
        v1::probe_status::State::Attached => "attached",
        v1::probe_status::State::Missing => "missing",
        v1::probe_status::State::Disabled => "disabled",
        v1::probe_status::State::OnDemand => "on-demand",
        v1::probe_status::State::Unspecified => "unknown",
    };
    Probe {
        name: clean(&status.name),
        state: state.to_owned(),
        hook: clean(&status.hook),
        detail: clean(&status.detail),
        without: clean(&status.without),
    }
}

/// Figures that are no numbers count as 0.
fn cost(of: v1::AgentCost) -> Cost {
    let figure = |value: f64| if value.is_finite() { value } else { 0.0 };
    Cost {
        kernel_millis: figure(of.kernel_millis),
        user_millis: figure(of.user_millis),
        budget_millis: figure(of.budget_millis),
        memory_bytes: of.memory_bytes,
        memory_max_bytes: of.memory_max_bytes,
        memory_level: match of.memory_level() {
            v1::agent_cost::MemoryLevel::Unspecified => MemoryLevel::Unknown,
            v1::agent_cost::MemoryLevel::Ample => MemoryLevel::Ample,
            v1::agent_cost::MemoryLevel::Near => MemoryLevel::Near,
            v1::agent_cost::MemoryLevel::Short => MemoryLevel::Short,
        },
        syscalls_per_second: figure(of.syscalls_per_second),
    }
}

/// Cuts a text to a sane length and drops what a terminal would obey.
fn clean(text: &str) -> String {
    let (kept, _) = text.split_at(text.floor_char_boundary(MAX_TEXT_BYTES));
    kept.chars().filter(|c| !c.is_control()).collect()
}

fn unknown_node(name: &str) -> Node {
    Node {
        name: name.to_owned(),
        agent_id: String::new(),
        agent_version: String::new(),
        kernel_release: String::new(),
        cgroup_version: 0,
        connected: false,
        last_seen_at: Timestamp::EPOCH.into(),
        probes: Vec::new(),
        gaps: Vec::new(),
        lost: Vec::new(),
        spool_bytes: 0,
        cost: None,
    }
}

#[cfg(test)]
mod tests {
    use inquest_engine::model::{SignalId, Subject};

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_780_000_000_000_000_000);

    fn session(number: u64, start_id: u64) -> Session {
        Session {
            number,
            agent_id: "a1".into(),
            start_id,
            node: NodeName("n1".into()),
            agent_version: "0.1.0".into(),
        }
    }

    fn loss(stage: v1::loss::Stage, reason: &str, count: u64) -> v1::Loss {
        v1::Loss {
            stage: stage.into(),
            reason: reason.into(),
            count,
            ..v1::Loss::default()
        }
    }

    fn lost(nodes: &Nodes) -> Vec<(String, String, u64)> {
        let lost = nodes.list().remove(0).lost.clone();
        lost.into_iter()
            .map(|l| (l.stage, l.reason, l.count))
            .collect()
    }

    fn gap_signal(end: i64) -> Signal {
        Signal {
            id: SignalId(end.to_string()),
            node: NodeName("n1".into()),
            observed_at: NOW,
            ktime_ns: 0,
            subject: Subject::default(),
            body: SignalBody::CoverageGap {
                start: Timestamp::EPOCH,
                end: Timestamp::from_nanos(end),
                reason: GapReason::AgentRestarted,
            },
        }
    }

    #[test]
    fn the_end_of_an_older_stream_does_not_disconnect_a_newer_one() {
        let mut nodes = Nodes::default();
        nodes.connected(&session(1, 7), NOW);
        nodes.connected(&session(2, 7), NOW);
        nodes.disconnected(&session(1, 7));
        assert!(nodes.list()[0].connected);
        nodes.disconnected(&session(2, 7));
        assert!(!nodes.list()[0].connected);
    }

    #[test]
    fn losses_in_batches_and_totals_in_statuses_are_not_counted_twice() {
        let mut nodes = Nodes::default();
        let session = session(1, 7);
        nodes.connected(&session, NOW);
        let lost_before = [loss(v1::loss::Stage::RingBuffer, "bulk_lane", 3)];
        let facts = BatchFacts {
            start_id: 7,
            lost: &lost_before,
            refused: &[],
            signals: &[],
        };
        nodes.batch(&session, &facts, NOW);
        let status = v1::NodeStatus {
            lost_total: vec![loss(v1::loss::Stage::RingBuffer, "bulk_lane", 4)],
            ..Default::default()
        };
        nodes.reported(&session, &status, NOW);
        nodes.reported(&session, &status, NOW);
        assert_eq!(
            lost(&nodes),
            [("ring_buffer".into(), "bulk_lane".into(), 4)]
        );
        assert_eq!(nodes.inventory().nodes[&session.node].left_out, 4);
    }

    #[test]
    fn a_status_that_comes_before_the_batch_of_its_losses_counts_them_once() {
        let mut nodes = Nodes::default();
        let session = session(1, 7);
        nodes.connected(&session, NOW);
        let lost_before = [loss(v1::loss::Stage::Queue, "full", 3)];
        let facts = BatchFacts {
            start_id: 7,
            lost: &lost_before,
            refused: &[],
            signals: &[],
        };
        let status = v1::NodeStatus {
            lost_total: vec![loss(v1::loss::Stage::Queue, "full", 4)],
            ..Default::default()
        };
        nodes.reported(&session, &status, NOW);
        nodes.batch(&session, &facts, NOW);
        nodes.reported(&session, &status, NOW);
        assert_eq!(lost(&nodes), [("queue".into(), "full".into(), 4)]);
        nodes.batch(&session, &facts, NOW);
        assert_eq!(lost(&nodes), [("queue".into(), "full".into(), 6)]);
    }

    #[test]
    fn a_new_agent_process_counts_from_zero_but_what_ingest_refused_stays() {
        let mut nodes = Nodes::default();
        nodes.connected(&session(1, 7), NOW);
        let facts = BatchFacts {
            start_id: 7,
            lost: &[loss(v1::loss::Stage::Queue, "full", 1)],
            refused: &[loss(v1::loss::Stage::Ingest, "no_id", 2)],
            signals: &[],
        };
        nodes.batch(&session(1, 7), &facts, NOW);
        nodes.connected(&session(2, 8), NOW);
        assert_eq!(lost(&nodes), [("ingest".into(), "no_id".into(), 2)]);
    }

    #[test]
    fn keeps_the_newest_gaps_in_order_whatever_order_they_come_in() {
        let mut nodes = Nodes::default();
        let signals: Vec<_> = (0..100).rev().map(gap_signal).collect();
        let facts = BatchFacts {
            start_id: 7,
            lost: &[],
            refused: &[],
            signals: &signals,
        };
        nodes.batch(&session(1, 7), &facts, NOW);
        nodes.batch(&session(1, 7), &facts, NOW);
        let gaps = nodes.list().remove(0).gaps.clone();
        let ends: Vec<_> = gaps
            .iter()
            .map(|gap| Timestamp::from(gap.end).as_nanos())
            .collect();
        assert_eq!(ends, (68..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_hostile_status_is_kept_within_bounds() {
        let mut nodes = Nodes::default();
        let status = v1::NodeStatus {
            kernel_release: "x".repeat(100_000),
            probes: vec![
                v1::ProbeStatus {
                    name: "\u{1b}[31m".into(),
                    state: 99,
                    ..Default::default()
                };
                1000
            ],
            lost_total: (0..1000)
                .map(|n| loss(v1::loss::Stage::Queue, &format!("r{n}"), 1))
                .collect(),
            ..Default::default()
        };
        nodes.reported(&session(1, 7), &status, NOW);
        let node = nodes.list().remove(0);
        assert_eq!(node.kernel_release.len(), MAX_TEXT_BYTES);
        assert_eq!(node.lost_total(), 1000, "every loss is counted");
        assert_eq!(
            (node.probes.len(), node.lost.len()),
            (MAX_PROBES, loss::MAX_LOSSES + 1)
        );
        assert_eq!(
            (node.probes[0].name.as_str(), node.probes[0].state.as_str()),
            ("[31m", "unknown")
        );
    }

    #[test]
    fn a_status_that_only_repeats_is_not_written_at_each_turn() {
        let mut nodes = Nodes::default();
        let status = v1::NodeStatus::default();
        nodes.reported(&session(1, 7), &status, NOW);
        assert_eq!(nodes.take_unwritten(NOW).len(), 1);
        nodes.reported(&session(1, 7), &status, NOW.plus(Duration::from_secs(10)));
        assert_eq!(nodes.take_unwritten(NOW).len(), 0);
        nodes.reported(&session(1, 7), &status, NOW.plus(WRITE_EVERY));
        assert_eq!(nodes.take_unwritten(NOW).len(), 1);
    }
}
