//! One turn of the loop: inputs gathered into a step, and what is to be answered once it is stored.
//! Must answer nobody before that.

use std::sync::Arc;

use inquest_api::{Incident, node::Node};
use inquest_engine::model::{self, Timestamp};
use inquest_proto::v1;
use tokio::sync::{mpsc, oneshot};
use tracing::trace;

use super::{
    BatchReply, PipelineInput, Stored,
    positions::{Positions, Verdict},
};
use crate::{
    ingest::{Admitted, Session},
    metrics::{IngestMetrics, Reason},
    nodes::{BatchFacts, Nodes, stage_word},
    store::{AnalysisUpdate, Position, Step, StreamKey},
};

/// What one turn changes and whom it owes an answer.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) now: Timestamp,
    /// For the engine, in the order in which the store numbers them.
    pub(super) signals: Vec<model::Signal>,
    pub(super) incidents: Vec<Incident>,
    pub(super) analyses: Vec<AnalysisUpdate>,
    pub(super) touches_nodes: bool,
    wire: Vec<v1::Signal>,
    positions: Vec<Position>,
    hellos: Vec<(Arc<Session>, oneshot::Sender<Stored>)>,
    replies: Vec<(mpsc::Sender<BatchReply>, BatchReply)>,
    counts: Counts,
}

/// What metrics hear of once the turn is stored.
#[derive(Debug, Default)]
struct Counts {
    duplicate: u64,
    future: u64,
    refused: Vec<v1::Loss>,
    lost: Vec<v1::Loss>,
}

impl Turn {
    /// Takes inputs in their order.
    pub(super) fn gather(
        inputs: impl Iterator<Item = PipelineInput>,
        positions: &mut Positions,
        nodes: &mut Nodes,
        now: Timestamp,
    ) -> Self {
        let mut turn = Self {
            now,
            ..Self::default()
        };
        for input in inputs {
            turn.take(input, positions, nodes);
        }
        turn
    }

    fn take(&mut self, input: PipelineInput, positions: &mut Positions, nodes: &mut Nodes) {
        self.touches_nodes |= !matches!(input, PipelineInput::Analysis(_));
        match input {
            PipelineInput::Hello { session, reply } => {
                nodes.connected(&session, self.now);
                self.hellos.push((session, reply));
            }
            PipelineInput::Batch {
                session,
                batch,
                reply,
            } => {
                let answer = self.take_batch(&session, batch, positions, nodes);
                self.replies.push((reply, answer));
            }
            PipelineInput::Status { session, status } => {
                nodes.reported(&session, &status, self.now);
            }
            PipelineInput::Closed { session } => nodes.disconnected(&session),
            PipelineInput::Analysis(update) => self.analyses.push(update),
        }
    }

    fn take_batch(
        &mut self,
        session: &Session,
        batch: Admitted,
        positions: &mut Positions,
        nodes: &mut Nodes,
    ) -> BatchReply {
        let start_id = batch.start_id;
        let key = StreamKey {
            agent_id: session.agent_id.clone(),
            start_id,
        };
        match positions.judge(&key, batch.sequence, batch.skipped) {
            Verdict::Duplicate { stored } => {
                let refused: u64 = batch.refused.iter().map(|loss| loss.count).sum();
                self.counts.duplicate += batch.wire.len() as u64 + refused;
                BatchReply::Stored {
                    start_id,
                    sequence: stored,
                }
            }
            Verdict::Hole { expected } => BatchReply::Hole {
                start_id,
                expected,
                got: batch.sequence,
            },
            Verdict::Store => {
                let sequence = batch.sequence;
                nodes.batch(session, &facts(&batch), self.now);
                self.store(batch);
                positions.advance(&key, sequence);
                self.advance(key, sequence);
                BatchReply::Stored { start_id, sequence }
            }
        }
    }

    fn store(&mut self, batch: Admitted) {
        self.wire.extend(batch.wire);
        self.signals.extend(batch.signals);
        self.counts.future += batch.future;
        self.counts.refused.extend(batch.refused);
        self.counts.lost.extend(batch.lost);
    }

    /// Keeps the highest position of each process.
    fn advance(&mut self, key: StreamKey, sequence: u64) {
        match self.positions.iter_mut().find(|known| known.key == key) {
            Some(known) => known.sequence = sequence,
            None => self.positions.push(Position { key, sequence }),
        }
    }

    /// What the store is to write.
    pub(super) fn to_step<'a>(&'a self, nodes: &'a [Node]) -> Step<'a> {
        Step {
            now: self.now,
            signals: &self.wire,
            positions: &self.positions,
            incidents: &self.incidents,
            analyses: &self.analyses,
            nodes,
        }
    }

    /// Answers everyone; called when the step is stored.
    pub(super) fn answer(self, positions: &Positions, metrics: &IngestMetrics) {
        metrics.stored.inc_by(self.wire.len() as u64);
        metrics.duplicate.inc_by(self.counts.duplicate);
        metrics.future.inc_by(self.counts.future);
        for loss in &self.counts.refused {
            let reason = refused_word(&loss.reason);
            metrics
                .dropped
                .get_or_create(&Reason { reason })
                .inc_by(loss.count);
        }
        for loss in &self.counts.lost {
            let reason = stage_word(loss);
            metrics
                .lost_at_agents
                .get_or_create(&Reason { reason })
                .inc_by(loss.count);
        }
        for (session, reply) in self.hellos {
            // A session that has ended needs no answer.
            drop(reply.send(positions.of_agent(&session.agent_id)));
        }
        for (to, reply) in self.replies {
            // Full cannot be: the channel has room for all that its session has in flight.
            if to.try_send(reply).is_err() {
                trace!(?reply, "the session has ended and is not told");
            }
        }
    }
}

fn facts(batch: &Admitted) -> BatchFacts<'_> {
    BatchFacts {
        start_id: batch.start_id,
        lost: &batch.lost,
        refused: &batch.refused,
        signals: &batch.signals,
    }
}

/// The closed list of what admission says.
fn refused_word(reason: &str) -> &'static str {
    match reason {
        "no_id" => "no_id",
        "no_time" => "no_time",
        "oversized_signal" => "oversized_signal",
        "oversized_batch" => "oversized_batch",
        _ => "other",
    }
}
