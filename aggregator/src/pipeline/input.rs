//! What goes into the pipeline and what comes back to whoever sent it. Must hold no behaviour.

use std::sync::Arc;

use inquest_proto::v1;
use tokio::sync::{mpsc, oneshot};

use crate::{
    ingest::{Admitted, Session},
    store::AnalysisUpdate,
};

/// Everything that can happen to the pipeline, apart from time.
#[derive(Debug)]
pub enum PipelineInput {
    /// An agent opened a stream and wants to know up to where its batches are stored.
    Hello {
        session: Arc<Session>,
        reply: oneshot::Sender<Stored>,
    },
    Batch {
        session: Arc<Session>,
        batch: Admitted,
        /// Has room for every batch that its session lets be in flight.
        reply: mpsc::Sender<BatchReply>,
    },
    Status {
        session: Arc<Session>,
        status: Box<v1::NodeStatus>,
    },
    Closed {
        session: Arc<Session>,
    },
    /// A model answered, or did not.
    Analysis(AnalysisUpdate),
}

/// For each process of an agent, by its `start_id`, the highest contiguous sequence stored.
pub type Stored = Vec<(u64, u64)>;

/// What became of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BatchReply {
    /// Everything up to this sequence is stored.
    Stored { start_id: u64, sequence: u64 },
    /// Sequences are missing before it; the stream cannot go on.
    Hole {
        start_id: u64,
        expected: u64,
        got: u64,
    },
}
