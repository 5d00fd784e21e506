//! How the pipeline begins: from what the store has. Must conclude nothing anew.

use std::{fmt, path::Path};

use inquest_api::{Analysis, AnalysisState, Incident};
use inquest_engine::{
    Engine, config as engine_config,
    model::{self, NodeName},
};
use inquest_proto::v1;
use tokio::{sync::mpsc, time::Instant};
use tracing::{info, warn};

use super::{
    Pipeline, PipelineInput, RequestAnalysis, Revision, View, positions::Positions, view::Publisher,
};
use crate::{
    clock,
    config::Retention,
    metrics::Metrics,
    nodes::Nodes,
    store::{AnalysisUpdate, OpenError, RestoreWindow, Restored, Writer},
    telemetry::ErrorChain,
};

/// Why the pipeline could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("failed to read from the store what to continue from")]
    Restore(#[source] rusqlite::Error),
}

/// What a pipeline is made of.
pub struct Parts {
    pub retention: Retention,
    pub analyses: Box<dyn RequestAnalysis>,
    pub metrics: Metrics,
    pub inputs: mpsc::Receiver<PipelineInput>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Opens the store and continues from it.
    pub fn open(store: &Path, parts: Parts) -> Result<(Self, View), StartError> {
        let writer = Writer::open(store)?;
        let window = RestoreWindow {
            signals: engine_config::MAX_RECENT_SIGNALS,
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

    fn continue_from(restored: Restored, writer: Writer, mut parts: Parts) -> (Self, View) {
        let nodes = Nodes::restore(restored.nodes);
        let revision = Revision {
            incidents: 0,
            next_signal: restored.next_signal,
        };
        let (publisher, view) = Publisher::new(revision, nodes.list());
        let marks = ask_again(&restored.incidents, parts.analyses.as_mut());
        let pipeline = Self {
            inputs: parts.inputs,
            engine: engine(&restored.incidents, &restored.signals),
            writer,
            positions: Positions::restore(restored.positions),
            nodes,
            publisher,
            retention: parts.retention,
            analyses: parts.analyses,
            metrics: parts.metrics,
            marks,
            maintained_at: Instant::now(),
        };
        (pipeline, view)
    }
}

/// Requests anew what a model had not answered when the process ended; where each of them now stands.
fn ask_again(incidents: &[Incident], analyses: &mut dyn RequestAnalysis) -> Vec<AnalysisUpdate> {
    let mut marks = Vec::new();
    for incident in incidents {
        let Some(pending) = incident.analysis.as_ref().filter(|a| is_pending(a)) else {
            continue;
        };
        let analysis = analyses.request(incident, clock::now());
        marks.push(AnalysisUpdate {
            incident_id: incident.id.clone(),
            analysis: analysis.unwrap_or_else(|| given_up(pending)),
        });
    }
    marks
}

fn is_pending(analysis: &Analysis) -> bool {
    analysis.state == AnalysisState::Pending
}

fn given_up(pending: &Analysis) -> Analysis {
    Analysis {
        state: AnalysisState::Failed,
        answered_at: Some(clock::now().into()),
        error: Some("analysis was switched off before the model answered".to_owned()),
        ..pending.clone()
    }
}

/// The engine as it was when these were stored.
fn engine(incidents: &[Incident], signals: &[v1::Signal]) -> Engine {
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
