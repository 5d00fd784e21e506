//! The one loop: everything that is queued becomes one engine step and one transaction, and only then
//! agents and readers hear of it. A model may be asked a moment before, because its answer comes back
//! through this loop. Owns the engine and the store's writer, and so blocks: it
//! must run on a thread of its own.

use std::{fmt, sync::Arc, time::Duration};

use inquest_api::{Analysis, Incident};
use inquest_engine::{
    Engine, Input,
    model::{self, Timestamp},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::{
    clock,
    config::Retention,
    metrics::{Kind, Metrics, observe},
    nodes::Nodes,
    store::{AnalysisUpdate, Committed, Step, Writer},
    telemetry::ErrorChain,
};

mod input;
mod positions;
mod restore;
mod turn;
mod view;

pub use input::{BatchReply, PipelineInput, Stored};
use positions::Positions;
pub use restore::{Parts, StartError};
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
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Asks a model to explain an incident; never waits.
pub trait RequestAnalysis: Send {
    /// Takes the request and says with what the incident is marked meanwhile; `None` when no model is configured.
    fn request(&mut self, incident: &Incident, now: Timestamp) -> Option<Analysis>;
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
    /// Where analyses stand that the next step is to write.
    marks: Vec<AnalysisUpdate>,
    maintained_at: Instant,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").finish_non_exhaustive()
    }
}

impl Pipeline {
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
        turn.analyses.append(&mut self.marks);
        self.step(&mut turn);
        let nodes = self.nodes.take_unwritten(now);
        let step = turn.to_step(&nodes);
        if !step.is_empty() && !self.commit(&step, abort).await {
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
                Ok(committed) => {
                    observe(&self.metrics.pipeline.commit_seconds, started.elapsed());
                    self.written(committed);
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

    fn written(&self, Committed { next_signal, .. }: Committed) {
        self.publisher.revision.send_if_modified(|revision| {
            let moved = revision.next_signal != next_signal;
            revision.next_signal = next_signal;
            moved
        });
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
