//! The aggregator: takes signals from agents, concludes incidents, stores both and answers questions
//! about them. Spawns every task, and must be the only place that does, apart from one task per stream.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use inquest_api::{Analysis, Incident, status::AnalysisStatus};
use inquest_engine::model::Timestamp;
use tokio::{net::TcpListener, runtime::Handle, sync::mpsc, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub mod analyze;
pub mod api;
pub mod clock;
pub mod config;
pub mod error_code;
pub mod ingest;
pub mod metrics;
pub mod nodes;
pub mod pipeline;
pub mod state_dir;
pub mod store;
pub mod telemetry;

use analyze::{Analyzer, Requests};
use api::{AnalysisStatusFn, ApiState, Latch, Readiness};
use config::Config;
use metrics::Metrics;
use pipeline::{Parts, Pipeline, RequestAnalysis};
use state_dir::{StateDir, StateDirError};
use store::ReadPool;
use telemetry::LogControl;

/// How long a stop may take: streams end, what is queued is stored, answers are finished.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Why the aggregator could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    #[error(transparent)]
    Store(#[from] pipeline::StartError),
    #[error(transparent)]
    Open(#[from] store::OpenError),
    #[error(transparent)]
    Analyzer(#[from] analyze::StartError),
    #[error("failed to listen on {address} (configuration key `{key}`)")]
    Listen {
        key: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}

/// A part that ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{task} ended early")]
    Ended { task: &'static str },
    #[error("{task} failed")]
    Failed {
        task: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("a task panicked")]
    Panicked(#[source] tokio::task::JoinError),
}

type TaskResult = (
    &'static str,
    Result<(), Box<dyn std::error::Error + Send + Sync>>,
);

/// All parts, opened and bound, not yet running.
#[derive(Debug)]
pub struct Aggregator {
    rest: TcpListener,
    agents: TcpListener,
    pipeline: Pipeline,
    analyzer: Option<Analyzer>,
    inputs: mpsc::Sender<pipeline::PipelineInput>,
    state: ApiState,
    state_dir: StateDir,
}

impl Aggregator {
    /// Opens the store and binds the ports, in this order: a store that cannot be used is found first.
    pub async fn start(config: &Config, log: LogControl) -> Result<Self, StartError> {
        let started_at = clock::now();
        let state_dir = StateDir::take(&config.state_dir)?;
        let store = store::file_in(state_dir.path());
        let mut analyzer = Ok(None);
        let metrics = Metrics::new(|registry| {
            analyzer = Analyzer::new(&config.analysis, registry);
        });
        let analyzer = analyzer?;
        let requests = analyzer.as_ref().map(Analyzer::requests);
        let (inputs, queued) = mpsc::channel(pipeline::QUEUE_CAPACITY);
        let parts = Parts {
            retention: config.retention,
            analyses: request_end(requests.clone()),
            metrics: metrics.clone(),
            inputs: queued,
        };
        let (pipeline, view) = Pipeline::open(&store, parts)?;
        let reads = ReadPool::open(&store)?;
        let rest = listen("listen", config.listen).await?;
        let agents = listen("ingest_listen", config.ingest_listen).await?;
        let state = ApiState {
            reads,
            view,
            metrics,
            log,
            readiness: Readiness::default(),
            analysis: status_end(requests),
            started_at,
            stop: CancellationToken::new(),
        };
        state.readiness.release(Latch::Store);
        Ok(Self {
            rest,
            agents,
            pipeline,
            analyzer,
            inputs,
            state,
            state_dir,
        })
    }

    /// Runs until `shutdown` is ready or a part ends by itself; then stops intake, stores what is
    /// queued and finishes open answers, all within a deadline.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let Self {
            rest,
            agents,
            pipeline,
            analyzer,
            inputs,
            state,
            state_dir,
        } = self;
        let (stop, abort) = (state.stop.clone(), CancellationToken::new());
        let mut tasks: JoinSet<TaskResult> = JoinSet::new();
        // The pipeline blocks on the engine and the store: a thread of its own, with this runtime's timers.
        let (runtime, pipeline_abort) = (Handle::current(), abort.clone());
        tasks.spawn_blocking(move || {
            runtime.block_on(pipeline.run(pipeline_abort));
            ("pipeline", Ok(()))
        });
        if let Some(analyzer) = analyzer {
            let (results, analyzer_stop) = (inputs.clone(), stop.clone());
            tasks.spawn(async move {
                analyzer.run(results, analyzer_stop).await;
                ("analyzer", Ok(()))
            });
        }
        let (metrics, ingest_stop) = (state.metrics.clone(), stop.clone());
        tasks.spawn(async move {
            let served = ingest::serve(agents, inputs, metrics, ingest_stop).await;
            ("ingest", served.map_err(Into::into))
        });
        state.readiness.release(Latch::Ingest);
        tasks.spawn(async move { ("rest", api::serve(rest, state).await.map_err(Into::into)) });
        info!("ready");

        let early = tokio::select! {
            () = shutdown => None,
            ended = tasks.join_next() => ended,
        };
        info!("stopping");
        stop.cancel();
        if timeout(DRAIN_DEADLINE, drain(&mut tasks)).await.is_err() {
            warn!(
                deadline_seconds = DRAIN_DEADLINE.as_secs(),
                "not all parts stopped in time"
            );
        }
        abort.cancel();
        drop(state_dir);
        early.map_or(Ok(()), |joined| Err(why_early(joined)))
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen {
        key,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    info!(key, address = %bound, "listening");
    if !bound.ip().is_loopback() {
        warn!(key, address = %bound, "listening beyond this machine, without encryption or authentication");
    }
    Ok(listener)
}

async fn drain(tasks: &mut JoinSet<TaskResult>) {
    while let Some(joined) = tasks.join_next().await {
        match joined {
            Ok((task, Ok(()))) => info!(task, "stopped"),
            Ok((task, Err(error))) => error!(task, %error, "failed while stopping"),
            Err(error) => error!(%error, "a task panicked while stopping"),
        }
    }
}

fn why_early(joined: Result<TaskResult, tokio::task::JoinError>) -> RunError {
    match joined {
        Ok((task, Ok(()))) => RunError::Ended { task },
        Ok((task, Err(source))) => RunError::Failed { task, source },
        Err(error) => RunError::Panicked(error),
    }
}

fn request_end(requests: Option<Requests>) -> Box<dyn RequestAnalysis> {
    match requests {
        Some(requests) => Box::new(requests),
        None => Box::new(NoModel),
    }
}

fn status_end(requests: Option<Requests>) -> AnalysisStatusFn {
    match requests {
        Some(requests) => Arc::new(move || requests.status()),
        None => Arc::new(no_model),
    }
}

/// No model is configured.
struct NoModel;

impl RequestAnalysis for NoModel {
    fn request(&mut self, _: &Incident, _: Timestamp) -> Option<Analysis> {
        None
    }
}

fn no_model() -> AnalysisStatus {
    AnalysisStatus {
        state: "off".to_owned(),
        provider: String::new(),
        model: String::new(),
        dropped_sentences: 0,
        last_error: None,
    }
}
