//! What is known about the nodes when a step runs: an immutable snapshot. Must not be updated in place.

use std::collections::{BTreeMap, BTreeSet};

use super::{NodeName, Timestamp};

/// The nodes and what their agents can see.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Inventory {
    pub nodes: BTreeMap<NodeName, NodeCoverage>,
}

/// What one node's agent can and cannot see.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeCoverage {
    /// Last word from its agent.
    pub last_seen_at: Timestamp,
    /// Names of the probes that watch now.
    pub attached: BTreeSet<String>,
    /// For each probe that is not attached: what cannot be told without it.
    pub missing: Vec<String>,
    /// Times when the agent was not watching, newest last; bounded by whoever fills it.
    pub gaps: Vec<(Timestamp, Timestamp)>,
    /// Records lost since the agent started that may have told of a kill, a crash or a container's end.
    pub lost: u64,
    /// Records of program starts, plain exits and new cgroups left out since the agent started; no kill is
    /// among them.
    pub left_out: u64,
}
