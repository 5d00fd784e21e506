//! What agent and stream say about themselves, to the aggregator and to people; must not decide
//! anything.

use inquest_proto::v1;
use jiff::Timestamp;
use serde::Serialize;

use crate::admin::as_text;
use crate::governor::MemoryBound;

/// Who this agent is to the aggregator.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node's name, else its machine id.
    pub agent_id: String,
    /// This process.
    pub start_id: u64,
    /// This boot of the node.
    pub boot_id: String,
    /// The node's name.
    pub node: String,
}

/// What an agent says about its node besides the state of its spool.
#[derive(Clone, Debug, Default)]
pub struct NodeReport {
    /// As `uname -r` prints it.
    pub kernel_release: String,
    /// 1, 2, or 3 for hybrid; 0 while not known.
    pub cgroup_version: u32,
    /// Each probe and whether it holds.
    pub probes: Vec<v1::ProbeStatus>,
    /// What the agent cost last; `None` while it watches nothing.
    pub cost: Option<v1::AgentCost>,
    /// What its memory may be, and who says so; `None` until the probes were tried.
    pub memory_bound: Option<MemoryBound>,
}

impl NodeReport {
    /// Replaces what is said about the probes that `newer` names.
    pub fn replace_probes(&mut self, newer: Vec<v1::ProbeStatus>) {
        for status in newer {
            if let Some(known) = self
                .probes
                .iter_mut()
                .find(|known| known.name == status.name)
            {
                *known = status;
            }
        }
    }
}

/// Where the stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamState {
    /// A connection is being made.
    #[default]
    Connecting,
    /// Hello is sent, Welcome awaited.
    Greeting,
    /// Batches and acks flow.
    Streaming,
    /// Between two attempts.
    Waiting,
}

/// The state of the stream, for people.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// Where it is.
    pub state: StreamState,
    /// The aggregator's address.
    pub aggregator: String,
    /// Since when it is in that state.
    #[serde(serialize_with = "as_text")]
    pub since: Timestamp,
    /// Why the last attempt or stream ended; stays after a later success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<StreamFailure>,
}

/// Why a stream ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamFailure {
    /// When.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// What happened, and why.
    pub message: String,
    /// What a person can do about it.
    pub next_step: &'static str,
}
