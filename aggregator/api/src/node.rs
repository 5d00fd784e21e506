//! Nodes and what their agents can see, as REST objects. Must not decide what a missing probe means.

use inquest_engine::model::NodeCoverage;
use serde::{Deserialize, Serialize};

use crate::time::Time;

/// One node that has ever reported.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub name: String,
    pub agent_id: String,
    pub agent_version: String,
    pub kernel_release: String,
    /// 1, 2, or 3 for hybrid; 0 until the agent has told.
    pub cgroup_version: u32,
    /// A stream is open now.
    pub connected: bool,
    pub last_seen_at: Time,
    pub probes: Vec<Probe>,
    /// Times when the agent was not watching, newest last.
    pub gaps: Vec<Gap>,
    pub lost: Vec<Loss>,
    pub spool_bytes: u64,
    /// What the agent costs its node; absent until it has told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What an agent costs its node, over the last window of its cost governor.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Thousandths of one CPU that its programs in the kernel take.
    pub kernel_millis: f64,
    /// Thousandths of one CPU that its process takes.
    pub user_millis: f64,
    /// What both together may take.
    pub budget_millis: f64,
    /// Resident memory and BPF maps.
    pub memory_bytes: u64,
    pub memory_max_bytes: u64,
    /// How near the one is to the other.
    #[serde(default)]
    pub memory_level: MemoryLevel,
    /// System calls a second on the node; 0 while nothing counts them.
    pub syscalls_per_second: f64,
}

/// How near an agent's memory is to its bound, and so what it gives up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MemoryLevel {
    /// It has not told.
    #[default]
    Unknown,
    /// There is room.
    Ample,
    /// It keeps little in memory and leaves out what comes in bursts and is not urgent.
    Near,
    /// It tells only what is urgent.
    Short,
}

impl MemoryLevel {
    /// Something is given up for want of memory.
    pub fn is_scarce(self) -> bool {
        matches!(self, Self::Near | Self::Short)
    }
}

/// One probe of a node's agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    pub name: String,
    /// `attached`, `missing`, `disabled`, `on-demand` (let go for its cost) or `unknown`.
    pub state: String,
    /// `tp_btf`, `raw_tp`, `tracepoint`, `fexit` or `poll`; empty when not attached.
    pub hook: String,
    pub detail: String,
    /// What cannot be told without it.
    pub without: String,
}

/// A span that nobody watched; what happened inside is unknown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    pub start: Time,
    pub end: Time,
    pub reason: String,
}

/// Records that were not kept, since the agent (or, for `ingest`, the aggregator's store) began.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    pub stage: String,
    pub reason: String,
    /// Kind of the signals that the records would have become; empty when not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Path of the cgroup that caused most of it; empty when not known or when it is many.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cgroup: String,
    pub count: u64,
}

impl Node {
    /// Its agent gives something up for want of memory.
    pub fn is_short_of_memory(&self) -> bool {
        self.cost.is_some_and(|cost| cost.memory_level.is_scarce())
    }

    /// What its agent can and cannot see, as the engine reads it.
    pub fn coverage(&self) -> NodeCoverage {
        let (attached, others): (Vec<&Probe>, Vec<&Probe>) =
            self.probes.iter().partition(|probe| probe.is_attached());
        let missing = others.iter().filter(|probe| !probe.is_at_rest());
        NodeCoverage {
            last_seen_at: self.last_seen_at.into(),
            attached: attached.iter().map(|probe| probe.name.clone()).collect(),
            missing: missing.map(|probe| probe.without.clone()).collect(),
            gaps: self
                .gaps
                .iter()
                .map(|gap| (gap.start.into(), gap.end.into()))
                .collect(),
            lost: self.lost_where(|loss| !loss.is_of_bulk_lane()),
            left_out: self.lost_where(Loss::is_of_bulk_lane),
        }
    }

    /// Records lost, all stages together.
    pub fn lost_total(&self) -> u64 {
        self.lost_where(|_| true)
    }

    fn lost_where(&self, counts: impl Fn(&Loss) -> bool) -> u64 {
        let counted = self.lost.iter().filter(|loss| counts(loss));
        counted.fold(0, |sum, loss| sum.saturating_add(loss.count))
    }
}

impl Loss {
    /// It took program starts, plain exits, new cgroups and counts only: kills, crashes and ends of
    /// containers come by the urgent lane, which has a rate of its own.
    pub fn is_of_bulk_lane(&self) -> bool {
        match self.stage.as_str() {
            "rate_limit" => self.reason != "cgroup_urgent_rate",
            "ring_buffer" => self.reason != "urgent_lane",
            "queue" => self.reason == "bulk_lane",
            _ => false,
        }
    }
}

impl Probe {
    /// It watches now.
    pub fn is_attached(&self) -> bool {
        self.state == "attached"
    }

    /// Ready, but not attached: let go for its cost, or at rest.
    pub fn is_on_demand(&self) -> bool {
        self.state == "on-demand"
    }

    /// Nothing needs it now, and the agent attaches it by itself when something does. One that was let
    /// go for its cost says so.
    pub fn is_at_rest(&self) -> bool {
        self.is_on_demand() && self.detail.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bulk_lane_and_rate_limits_cannot_hide_a_kill() {
        let loss = |stage: &str, reason: &str| Loss {
            stage: stage.to_owned(),
            reason: reason.to_owned(),
            count: 1,
            ..Loss::default()
        };
        assert!(loss("rate_limit", "cgroup_rate").is_of_bulk_lane());
        assert!(loss("ring_buffer", "bulk_lane").is_of_bulk_lane());
        assert!(loss("ring_buffer", "drop_map").is_of_bulk_lane());
        assert!(loss("rate_limit", "memory_bound").is_of_bulk_lane());
        assert!(loss("queue", "bulk_lane").is_of_bulk_lane());
        for (stage, reason) in [
            ("ring_buffer", "urgent_lane"),
            ("rate_limit", "cgroup_urgent_rate"),
            ("decode", "short_record"),
            ("queue", "urgent_lane"),
            ("spool", "spool_full"),
            ("ingest", "no_id"),
        ] {
            assert!(!loss(stage, reason).is_of_bulk_lane(), "{stage} {reason}");
        }
    }

    #[test]
    fn what_is_at_rest_is_not_missing() {
        let probe = |name: &str, state: &str, detail: &str| Probe {
            name: name.to_owned(),
            state: state.to_owned(),
            hook: String::new(),
            detail: detail.to_owned(),
            without: format!("what {name} tells"),
        };
        let node = Node {
            name: "n".to_owned(),
            agent_id: "n".to_owned(),
            agent_version: String::new(),
            kernel_release: String::new(),
            cgroup_version: 2,
            connected: true,
            last_seen_at: Time(jiff::Timestamp::UNIX_EPOCH),
            probes: vec![
                probe("mark_victim", "attached", ""),
                probe("sched_switch", "on-demand", ""),
                probe("sys_exit", "on-demand", "over the budget"),
                probe("kfree_skb", "missing", "no such tracepoint"),
            ],
            gaps: Vec::new(),
            lost: Vec::new(),
            spool_bytes: 0,
            cost: None,
        };
        let missing = node.coverage().missing;
        assert_eq!(missing, ["what sys_exit tells", "what kfree_skb tells"]);
    }
}
