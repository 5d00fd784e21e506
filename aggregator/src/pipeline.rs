//! The one loop: everything that is queued becomes one engine step and one transaction, and only then
//! acks, readers and the model hear of it. Owns the engine and the store's writer, and so blocks: it
//! must run on a thread of its own.

use std::{path::Path, sync::Arc, time::Duration};

use inquest_api::Incident;
use inquest_engine::{
    Engine, Input, config as engine_config,
    model::{self, NodeName, Timestamp},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    clock,
    config::Retention,
    ingest::{Admitted, Session},
    metrics::{Kind, Metrics, observe},
    nodes::Nodes,
    store::{AnalysisUpdate, CommitOutcome, OpenError, RestoreWindow, Restored, Step, Writer},
    telemetry::ErrorChain,
};

mod positions;
mod turn;
mod view;

use positions::Positions;
use turn::Turn;
use view::Publisher;
pub use view::{NodeList, Revision, View};

/// Inputs that wait for the loop. At the usual batch of some KiB this is little memory; when it is
/// full, sessions wait and agents keep their spool.
pub const QUEUE_CAPACITY: usize = 256;
/// Most inputs taken into one step, so that a step stays short when many are queued.
const MAX_INPUTS_PER_STEP: usize = 64;
/// How often the engine looks at the time without a signal: incidents resolve by the clock.
const TICK: Duration = Duration::from_secs(1);
/// How often small blocks are merged and old ones removed.
const MAINTAIN_EVERY: Duration = Duration::from_secs(30);
/// First and longest pause between attempts to write a step.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

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
        status: Box<inquest_proto::v1::NodeStatus>,
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

/// Why the pipeline could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("failed to read from the store what to continue from")]
    Restore(#[source] rusqlite::Error),
}

/// Asks a model to explain an incident; never waits.
pub trait RequestAnalysis: Send {
    /// Takes the request and says with what the incident is marked meanwhile; `None` when no model is configured.
    fn request(&mut self, incident: &Incident, now: Timestamp) -> Option<inquest_api::Analysis>;
}

/// The loop and all it owns.
pub struct Pipeline {
    inputs: mpsc::Receiver<PipelineInput>,
    engine: Engine,
    writer: Writer,
    positions: Positions,
    nodes: Nodes,
    publisher: Publisher,
    retention: Retention,
    analyses: Box<dyn RequestAnalysis>,
    metrics: Metrics,
    maintained_at: Instant,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

/// What a pipeline is made of.
pub struct Parts {
    pub retention: Retention,
    pub analyses: Box<dyn RequestAnalysis>,
    pub metrics: Metrics,
    pub inputs: mpsc::Receiver<PipelineInput>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Opens the store and continues from it.
    pub fn open(store: &Path, parts: Parts) -> Result<(Self, View), StartError> {
        let writer = Writer::open(store)?;
        let window = RestoreWindow {
            signals: engine_config::WINDOW,
            max_signals: engine_config::MAX_RECENT_SIGNALS,
            resolved_incidents: engine_config::REOPEN_WITHIN,
        };
        let restored = writer
            .restore(clock::now(), window)
            .map_err(StartError::Restore)?;
        info!(
            incidents = restored.incidents.len(),
            signals = restored.signals.len(),
            nodes = restored.nodes.len(),
            "continuing from the store"
        );
        Ok(Self::continue_from(restored, writer, parts))
    }

    fn continue_from(restored: Restored, writer: Writer, parts: Parts) -> (Self, View) {
        let nodes = Nodes::restore(restored.nodes);
        let revision = Revision {
            incidents: 0,
            next_signal: restored.next_signal,
        };
        let (publisher, view) = Publisher::new(revision, nodes.list());
        let mut pipeline = Self {
            inputs: parts.inputs,
            engine: engine(&restored.incidents, &restored.signals),
            writer,
            positions: Positions::restore(restored.positions),
            nodes,
            publisher,
            retention: parts.retention,
            analyses: parts.analyses,
            metrics: parts.metrics,
            maintained_at: Instant::now(),
        };
        pipeline.ask_again(&restored.incidents);
        (pipeline, view)
    }

    /// Requests anew what a model had not answered when the process ended.
    fn ask_again(&mut self, incidents: &[Incident]) {
        let is_pending = |incident: &&Incident| {
            let analysis = incident.analysis.as_ref();
            analysis.is_some_and(|a| a.state == inquest_api::AnalysisState::Pending)
        };
        for incident in incidents.iter().filter(is_pending) {
            // Already marked as pending in the store.
            drop(self.analyses.request(incident, clock::now()));
        }
    }

    /// Runs until every sender of inputs is gone. `abort` ends attempts to write to a store that fails.
    pub async fn run(mut self, abort: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut inputs = Vec::with_capacity(MAX_INPUTS_PER_STEP);
        loop {
            tokio::select! {
                taken = self.inputs.recv_many(&mut inputs, MAX_INPUTS_PER_STEP) => {
                    if taken == 0 {
                        break;
                    }
                }
                _ = tick.tick() => {}
            }
            self.metrics
                .pipeline
                .queue_depth
                .set(self.inputs.len() as i64);
            if !self.turn(inputs.drain(..), &abort).await {
                break;
            }
            self.maintain();
        }
        info!("pipeline drained");
    }

    /// Takes inputs through one step; false when the step could not be written before the abort.
    async fn turn(
        &mut self,
        inputs: impl Iterator<Item = PipelineInput>,
        abort: &CancellationToken,
    ) -> bool {
        let now = clock::now();
        let mut turn = Turn::gather(inputs, &mut self.positions, &mut self.nodes, now);
        self.step(&mut turn);
        let nodes = self.nodes.take_unwritten(now);
        let step = turn.to_step(&nodes);
        let is_empty = step.signals.is_empty()
            && step.positions.is_empty()
            && step.incidents.is_empty()
            && step.analyses.is_empty()
            && step.nodes.is_empty();
        if !is_empty && !self.commit(&step, abort).await {
            return false;
        }
        self.publish(&turn);
        turn.answer(&self.positions, &self.metrics.ingest);
        true
    }

    fn step(&mut self, turn: &mut Turn) {
        let started = Instant::now();
        let output = self.engine.step(Input {
            now: turn.now,
            inventory: self.nodes.inventory(),
            signals: std::mem::take(&mut turn.signals),
        });
        observe(&self.metrics.pipeline.step_seconds, started.elapsed());
        self.metrics.pipeline.steps.inc();
        for decision in &output.decisions {
            debug!(decision, "engine decided");
        }
        turn.incidents = output.changed.iter().map(Incident::from).collect();
        for model::IncidentId(id) in &output.requested_analyses {
            let incident = turn.incidents.iter().find(|incident| incident.id == *id);
            let pending = incident.and_then(|i| self.analyses.request(i, turn.now));
            turn.analyses.extend(pending.map(|analysis| AnalysisUpdate {
                incident_id: id.clone(),
                analysis,
            }));
        }
    }

    /// Writes a step, again and again until it is durable; false when `abort` came first. Nothing of
    /// the step is acked or shown before, so that memory being ahead of the store meanwhile is nobody's loss.
    async fn commit(&mut self, step: &Step<'_>, abort: &CancellationToken) -> bool {
        let mut pause = RETRY_MIN;
        loop {
            let started = Instant::now();
            match self.writer.commit(step) {
                Ok(outcome) => {
                    observe(&self.metrics.pipeline.commit_seconds, started.elapsed());
                    self.written(outcome);
                    return true;
                }
                Err(error) => self.failed(&error),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
                () = abort.cancelled() => return false,
            }
        }
    }

    fn written(&self, outcome: CommitOutcome) {
        if let CommitOutcome::Written { next_signal } = outcome {
            self.publisher.revision.send_if_modified(|revision| {
                let moved = revision.next_signal != next_signal;
                revision.next_signal = next_signal;
                moved
            });
        }
        let recovered = self
            .publisher
            .store_error
            .send_if_modified(|error| error.take().is_some());
        if recovered {
            info!("store takes writes again");
        }
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) {
        let kind = Kind { kind: "commit" };
        self.metrics.pipeline.errors.get_or_create(&kind).inc();
        let text = ErrorChain(error).to_string();
        self.publisher.store_error.send_if_modified(|last| {
            let is_new = last.as_ref() != Some(&text);
            if is_new {
                tracing::error!(
                    error = text,
                    "store takes no writes; nothing is acked until it does"
                );
                *last = Some(text);
            }
            is_new
        });
    }

    fn publish(&self, turn: &Turn) {
        if !turn.incidents.is_empty() || !turn.analyses.is_empty() {
            self.publisher
                .revision
                .send_modify(|revision| revision.incidents += 1);
        }
        if turn.touches_nodes {
            self.publisher
                .nodes
                .send_replace(Arc::new(self.nodes.list()));
        }
    }

    /// Merges and removes a bounded amount when it is time to.
    fn maintain(&mut self) {
        if self.maintained_at.elapsed() < MAINTAIN_EVERY {
            return;
        }
        let now = clock::now();
        let merged = self.writer.compact(now);
        let expired = self.writer.expire(&self.retention, now);
        let more = match (merged, expired) {
            (Ok(merged), Ok(expired)) => {
                self.metrics.store.expired_signals.inc_by(expired.signals);
                self.metrics
                    .store
                    .expired_incidents
                    .inc_by(expired.incidents);
                merged || expired.more
            }
            (Err(error), _) | (_, Err(error)) => {
                let kind = Kind { kind: "maintain" };
                self.metrics.pipeline.errors.get_or_create(&kind).inc();
                warn!(error = %ErrorChain(&error), "store maintenance failed; tried again later");
                false
            }
        };
        // With more to do, the next turn goes on; between them, inputs have their turn.
        if !more {
            self.maintained_at = Instant::now();
        }
    }
}

/// The engine as it was when these were stored.
fn engine(incidents: &[Incident], signals: &[inquest_proto::v1::Signal]) -> Engine {
    let readable = |incident| match model::Incident::try_from(incident) {
        Ok(incident) => Some(incident),
        Err(error) => {
            warn!(error = %ErrorChain(&error), "a stored incident is not readable; not continued");
            None
        }
    };
    // A stored signal was readable when it came in.
    let signals = signals
        .iter()
        .filter_map(|signal| inquest_api::signal::to_engine(signal, &NodeName::default()).ok());
    Engine::restore(
        incidents.iter().filter_map(readable).collect(),
        signals.collect(),
    )
}
