//! The life of an agent process: start in order, run, stop in order; must not hold logic that a
//! component could.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use inquest_proto::v1::probe_status::State;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::Admin;
use crate::collect::{Collector, CollectorError, FileCollector, Observed};
use crate::config::Config;
use crate::coverage::{Coverage, Previous};
use crate::governor::{self, ArmRequests, Budget, MemoryBound};
use crate::loss::LossTotal;
use crate::metrics::{self, ShipMetrics};
use crate::probes::{self, Hook, ProbeConfig};
use crate::profile_desk::ProfileDesk;
use crate::ship::backoff::Backoff;
use crate::ship::batch::Batcher;
use crate::ship::status::{Identity, NodeReport, StreamStatus};
use crate::ship::stream::{Stream, StreamParts};
use crate::ship::{Intake, MAX_OBSERVED, new_start_id, observe};
use crate::spool::{SharedSpool, Spool};
use crate::state_dir::StateDir;
use crate::telemetry::{ErrorChain, LogLevel};

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// For the collector to hand on what was seen before the stop, and again for intake to spool it.
const INTAKE_DEADLINE: Duration = Duration::from_secs(2);
/// For the spool to be shipped at a stop; what is left stays on disk for the next agent.
const SHIP_DEADLINE: Duration = Duration::from_secs(5);

/// Runs an agent until SIGTERM or SIGINT.
pub async fn run(config: Config, log_level: LogLevel) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let agent = Agent::open(&config)?;
    let (arm, requests) = governor::arm_requests();
    let admin = agent.serve_admin(&config, log_level, arm).await?;
    let watching = watch_node(&config, &agent, requests).await?;
    let mut tasks = agent.start(&config, watching, admin).await?;
    tokio::select! {
        name = stop.told() => info!(signal = name, "stopping"),
        name = tasks.ended_early() => bail!("the {name} task ended, which it must not do"),
    }
    tasks.stop().await;
    Ok(())
}

/// What an agent holds before it watches.
struct Agent {
    identity: Identity,
    state_dir: StateDir,
    spool: SharedSpool,
    coverage: Coverage,
    previous: Previous,
    lost: LossTotal,
    metrics: ShipMetrics,
    report: watch::Sender<NodeReport>,
    ready: watch::Sender<bool>,
    stream_status: watch::Sender<StreamStatus>,
    profile_desk: ProfileDesk,
}

impl Agent {
    /// Takes the state directory and opens what earlier agents left in it.
    fn open(config: &Config) -> anyhow::Result<Self> {
        let identity = identity(config)?;
        let state_dir = StateDir::take(&config.state_dir)?;
        let lost = LossTotal::default();
        let max_bytes = config.spool.max_size.0;
        let spool = Spool::open(
            &state_dir.spool(),
            identity.start_id,
            max_bytes,
            lost.clone(),
        )?;
        let (coverage, previous) = Coverage::open(state_dir.path(), &identity.boot_id)
            .context("failed to open the coverage file of the state directory")?;
        Ok(Self {
            identity,
            state_dir,
            spool: SharedSpool::new(spool),
            coverage,
            previous,
            lost,
            metrics: ShipMetrics::default(),
            report: watch::Sender::default(),
            ready: watch::Sender::default(),
            stream_status: watch::Sender::default(),
            profile_desk: ProfileDesk::default(),
        })
    }

    async fn serve_admin(
        &self,
        config: &Config,
        log_level: LogLevel,
        arm: ArmRequests,
    ) -> anyhow::Result<JoinHandle<()>> {
        let address = config.admin_listen;
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("failed to listen on {address} (`admin_listen`)"))?;
        info!(address = %listener.local_addr()?, "admin page is up");
        let (lost, spool) = (self.lost.clone(), self.spool.clone());
        let report = self.report.subscribe();
        let admin = Admin {
            identity: self.identity.clone(),
            started: Timestamp::now(),
            ready: self.ready.subscribe(),
            report: report.clone(),
            stream: self.stream_status.subscribe(),
            registry: metrics::registry(&self.metrics, lost.clone(), spool.clone(), report),
            spool,
            lost,
            log_level,
            profile_desk: self.profile_desk.clone(),
            arm,
        };
        Ok(tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, admin.router()).await {
                error!(%error, "the admin page ended");
            }
        }))
    }

    /// Starts intake, stream and collector.
    async fn start(
        self,
        config: &Config,
        watching: Watching,
        admin: JoinHandle<()>,
    ) -> anyhow::Result<Tasks> {
        let (observed, observations) = mpsc::channel(MAX_OBSERVED);
        if watching.is_watched() {
            resume_coverage(&observed, &self.previous, &watching, &self.identity).await;
        }
        let intake = Intake {
            batcher: Batcher::new(self.identity.start_id),
            spool: self.spool.clone(),
            coverage: self.coverage,
            lost: self.lost.clone(),
            metrics: self.metrics.clone(),
        };
        let parts = StreamParts {
            aggregator: config.aggregator.clone(),
            identity: self.identity.clone(),
            spool: self.spool.clone(),
            report: self.report.subscribe(),
            lost: self.lost,
            status: self.stream_status,
            metrics: self.metrics,
        };
        let stream = Stream::new(parts, Backoff::try_new(BACKOFF_MIN, BACKOFF_MAX)?);
        let (shutdown, drain) = (CancellationToken::new(), CancellationToken::new());
        let tasks = Tasks {
            collector: tokio::spawn(watching.run(observed, shutdown.clone())),
            intake: tokio::spawn(intake.run(observations)),
            stream: tokio::spawn(stream.run(drain.clone())),
            admin,
            shutdown,
            drain,
            spool: self.spool,
            _report: self.report,
            _state_dir: self.state_dir,
        };
        self.ready.send_replace(true);
        info!(node = %self.identity.node, agent_id = %self.identity.agent_id, "running");
        Ok(tasks)
    }
}

fn identity(config: &Config) -> anyhow::Result<Identity> {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .context("failed to read the boot id of the kernel")?;
    Ok(Identity {
        agent_id: config.agent_id.clone(),
        start_id: new_start_id()
            .map_err(|error| anyhow!("failed to get random bytes for the start id: {error}"))?,
        boot_id: boot_id.trim().to_owned(),
        node: config.node_name.clone(),
    })
}

/// What watches the node, if anything does.
struct Watching {
    eyes: Eyes,
    /// From when on nothing is missed.
    since: Timestamp,
}

/// By what a node is watched.
enum Eyes {
    /// The kernel's records, and files.
    Records(Box<Collector>),
    /// Files alone.
    Files(Box<FileCollector>),
    /// Nothing.
    None,
}

impl Watching {
    /// Returns whether probes watch the node; files alone do not tell what they missed.
    fn is_watched(&self) -> bool {
        matches!(&self.eyes, Eyes::Records(collector) if collector.is_watching())
    }

    /// Hands on what is observed until the stop.
    async fn run(self, observed: mpsc::Sender<Observed>, shutdown: CancellationToken) {
        if let Err(error) = self.eyes.run(observed, shutdown).await {
            error!(error = %ErrorChain(&error), "the collector ended");
        }
    }
}

impl Eyes {
    async fn run(
        self,
        observed: mpsc::Sender<Observed>,
        shutdown: CancellationToken,
    ) -> Result<(), CollectorError> {
        match self {
            Self::Records(collector) => collector.run(observed, shutdown).await,
            Self::Files(collector) => collector.run(observed, shutdown).await,
            Self::None => {
                // Nothing will be handed on; intake lives until the stop all the same.
                shutdown.cancelled().await;
                Ok(())
            }
        }
    }
}

/// Loads and attaches the probes, on a thread that may block, and reports what came of it.
async fn watch_node(
    config: &Config,
    agent: &Agent,
    requests: mpsc::Receiver<Duration>,
) -> anyhow::Result<Watching> {
    let probes = ProbeConfig {
        disabled: config.probes.disabled.clone(),
        hooks: Hook::ladder(config.syscalls.all_calls),
        profile_desk: agent.profile_desk.clone(),
        ignored: config.syscalls.ignore.clone(),
        ..ProbeConfig::default()
    };
    let memory = MemoryBound::find(config.memory.max_size.0, &probes.cgroup_root);
    let loaded = tokio::task::spawn_blocking(move || probes::load(&probes))
        .await
        .context("failed to load the probes")?;
    let since = Timestamp::now();
    let is_any_attached = loaded
        .probes
        .iter()
        .any(|probe| probe.state() == State::Attached);
    let eyes = match (loaded.collector, loaded.files) {
        // With all of them disabled there is nothing to read.
        _ if !is_any_attached => Eyes::None,
        (Some(mut collector), _) => {
            collector.hold_to(budget(config, memory), requests, agent.report.clone());
            Eyes::Records(Box::new(collector))
        }
        (None, Some(files)) => Eyes::Files(Box::new(files)),
        (None, None) => Eyes::None,
    };
    let watching = Watching { eyes, since };
    if !watching.is_watched() {
        warn!(
            "no probe is attached: this node is not watched, but for what files tell; see the reasons in /status"
        );
    }
    agent.report.send_replace(NodeReport {
        kernel_release: loaded.kernel_release,
        cgroup_version: loaded.cgroup_version,
        probes: loaded.probes,
        cost: None,
        memory_bound: Some(memory),
    });
    Ok(watching)
}

fn budget(config: &Config, memory: MemoryBound) -> Budget {
    // A node of unknown size has one CPU.
    let cpus = aya::util::online_cpus().map_or(1, |cpus| cpus.len());
    Budget {
        mode: config.probes.mode,
        cpu_millis: f64::from(config.budget.cpu_millis_per_core) * cpus as f64,
        memory,
    }
}

/// Reports the time since an earlier agent's watermark as not watched, and begins a new watermark.
async fn resume_coverage(
    observed: &mpsc::Sender<Observed>,
    previous: &Previous,
    watching: &Watching,
    identity: &Identity,
) {
    let gap = previous.gap(watching.since, &identity.boot_id).map(observe);
    for one in gap.into_iter().chain([Observed::Watermark(watching.since)]) {
        // The channel is new and empty, and its receiver is alive.
        if observed.send(one).await.is_err() {
            warn!("intake ended before it began");
        }
    }
}

/// The tasks of a running agent, and what must live as long.
struct Tasks {
    collector: JoinHandle<()>,
    intake: JoinHandle<Coverage>,
    stream: JoinHandle<()>,
    admin: JoinHandle<()>,
    shutdown: CancellationToken,
    drain: CancellationToken,
    spool: SharedSpool,
    _report: watch::Sender<NodeReport>,
    _state_dir: StateDir,
}

impl Tasks {
    /// Waits until a task ends though nobody told it to; returns its name.
    async fn ended_early(&mut self) -> &'static str {
        let (name, failure) = tokio::select! {
            outcome = &mut self.collector => ("collector", outcome.err()),
            outcome = &mut self.intake => ("intake", outcome.err()),
            outcome = &mut self.stream => ("stream", outcome.err()),
            outcome = &mut self.admin => ("admin", outcome.err()),
        };
        error!(
            task = name,
            error = failure.map(tracing::field::display),
            "a task ended early"
        );
        name
    }

    /// Stops intake, spools what was seen, says that this was on purpose, and ships what it can.
    async fn stop(self) {
        self.shutdown.cancel();
        in_time("collector", INTAKE_DEADLINE, self.collector).await;
        if let Some(coverage) = in_time("intake", INTAKE_DEADLINE, self.intake).await
            && let Err(error) = coverage.mark_stopped()
        {
            warn!(%error, "failed to mark the stop; the next agent will report a restart");
        }
        self.drain.cancel();
        in_time("stream", SHIP_DEADLINE, self.stream).await;
        self.admin.abort();
        let left = self.spool.with(|spool| spool.status());
        info!(
            batches = left.batches,
            "stopped; what is left in the spool is sent at the next start"
        );
    }
}

/// Waits for a task until a deadline, then ends it.
async fn in_time<T>(
    task: &'static str,
    deadline: Duration,
    mut handle: JoinHandle<T>,
) -> Option<T> {
    if let Ok(outcome) = timeout(deadline, &mut handle).await {
        return outcome.ok();
    }
    warn!(task, "did not stop in time");
    handle.abort();
    handle.await.ok()
}

/// The two signals that end an agent.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Takes both over from now on.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("failed to listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them; returns its name.
    pub(crate) async fn told(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
