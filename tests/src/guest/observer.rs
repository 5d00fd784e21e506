//! The agent's probes and collector inside this process, and all signals that they have handed on. Must not judge
//! them.

use std::time::Duration;

use anyhow::Context as _;
use inquest_agent::collect::{CollectorError, Observed};
use inquest_agent::probes::{self, Hook, ProbeConfig};
use inquest_proto::v1;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Observations on their way; more than a scene leads to.
const QUEUE: usize = 4096;
/// Longest wait for signals.
const DEADLINE: Duration = Duration::from_secs(30);
/// Time given to a signal too many to arrive; several readings of the slower lane.
const GRACE: Duration = Duration::from_millis(1500);

/// As what the agent tells runs of programs that the kernel left out, which some 7.x do on a slow machine.
const MISSED_RUNS: &str = "probe_busy";

/// A running collector.
#[derive(Debug)]
pub(super) struct Observer {
    collector: JoinHandle<Result<(), CollectorError>>,
    shutdown: CancellationToken,
    receiver: mpsc::Receiver<Observed>,
    seen: Vec<v1::Signal>,
    lost: u64,
    missed_runs: u64,
}

impl Observer {
    /// Loads the probes by their best hooks on tracepoints and begins to observe: programs at the returns of calls take an emulator
    /// long to load, and nothing that is asked of an observer comes from them.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let config = ProbeConfig {
            hooks: Hook::ladder(true),
            ..ProbeConfig::default()
        };
        let loaded = tokio::task::spawn_blocking(move || probes::load(&config))
            .await
            .context("failed to load the probes")?;
        let collector = loaded.collector.context("nothing was loaded")?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let shutdown = CancellationToken::new();
        Ok(Self {
            collector: tokio::spawn(collector.run(sender, shutdown.clone())),
            shutdown,
            receiver,
            seen: Vec::new(),
            lost: 0,
            missed_runs: 0,
        })
    }

    /// Observes until `is_enough` of what was seen, and then for as long as a signal too many would take.
    pub(super) async fn until(
        &mut self,
        is_enough: impl Fn(&[v1::Signal]) -> bool,
    ) -> &[v1::Signal] {
        let enough = async { while !is_enough(&self.seen) && self.take_next().await {} };
        // Too few are judged by whoever asked.
        drop(timeout(DEADLINE, enough).await);
        let rest = async { while self.take_next().await {} };
        drop(timeout(GRACE, rest).await);
        &self.seen
    }

    /// False when nothing more will come.
    async fn take_next(&mut self) -> bool {
        match self.receiver.recv().await {
            Some(Observed::Signal(signal)) => self.seen.push(*signal),
            Some(Observed::Loss(loss)) if loss.reason == MISSED_RUNS => {
                self.missed_runs += loss.count;
            }
            Some(Observed::Loss(loss)) => self.lost += loss.count,
            Some(Observed::Watermark(_)) => {}
            None => return false,
        }
        true
    }

    /// How many runs of any program the kernel left out: of one that tells nothing here, most likely.
    pub(super) fn missed_runs(&self) -> u64 {
        self.missed_runs
    }

    /// How much was lost on the way.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Detaches the probes.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        drop(self.receiver);
        self.collector
            .await
            .context("the collector panicked")?
            .context("the collector ended early")
    }
}
