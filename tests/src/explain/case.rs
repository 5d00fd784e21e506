//! One OOM kill on a private stack, with or without a model that is asked about it. Must judge nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use inquest_api::{AnalysisState, Incident};
use tempfile::TempDir;
use testkit::llm::{Behaviour, KEY, MODEL, Protocol, Server};
use tokio::time::{Instant, sleep};

use super::word;
use crate::binaries::Binaries;
use crate::demo::{Demo, Played, Stage};
use crate::proof::median;
use crate::stack::Stack;
use crate::victim::Launcher;

/// Longest wait until a model's answer is stored.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Times that `inquest why` is timed.
const ASKED: usize = 5;
/// Wide enough that no sentence is broken over two lines.
const COLUMNS: &str = "500";

/// One incident on a private stack, with or without a model.
pub(super) struct Case {
    stack: Stack,
    stage: Stage,
    played: Played,
    server: Option<Server>,
    /// Read at each call to the model.
    _key: TempDir,
}

impl Case {
    /// Starts the daemons, with a model if given, and makes a process run out of memory.
    pub(super) async fn open(
        binaries: &Binaries,
        launcher: &Launcher,
        model: Option<(Protocol, Behaviour)>,
    ) -> anyhow::Result<Self> {
        let key = tempfile::tempdir().context("failed to make a directory for the key")?;
        let (server, configuration) = match model {
            None => (None, String::new()),
            Some((protocol, behaviour)) => {
                let server = Server::start(protocol, behaviour).await?;
                let yaml = configuration(&server, protocol, key.path())?;
                (Some(server), yaml)
            }
        };
        let stack = Stack::start(binaries, &configuration).await?;
        let stage = Stage::new(stack.client.clone(), launcher.clone(), &binaries.cli);
        let played = Demo::Oom.play(launcher).await?;
        let case = Self {
            stack,
            stage,
            played,
            server,
            _key: key,
        };
        case.told_all().await?;
        Ok(case)
    }

    /// Waits for all signals of the death, each of which is stored with what the engine makes of it.
    async fn told_all(&self) -> anyhow::Result<()> {
        let victim = self.played.victim().context("the demo has no victim")?;
        let pid = victim.to_string();
        let deadline = Instant::now() + ANSWER_DEADLINE;
        for kind in ["oom_kill", "fatal_signal", "process_exit"] {
            let filter = [("kind", kind), ("pid", &pid)];
            while self.stage.client.signals(&filter).await?.is_empty() {
                anyhow::ensure!(Instant::now() < deadline, "no {kind} of {pid} was reported");
                sleep(LOOK_AGAIN).await;
            }
        }
        Ok(())
    }

    /// The incident as it is now.
    pub(super) async fn incident(&self) -> anyhow::Result<Incident> {
        let report = self.stage.client.why(&self.played.target).await?;
        let incident = report.and_then(|report| report.incidents.into_iter().next());
        incident.context("the incident is gone")
    }

    /// The incident once the model's answer, or its failure, is stored.
    pub(super) async fn answered(&self) -> anyhow::Result<Incident> {
        let deadline = Instant::now() + ANSWER_DEADLINE;
        loop {
            let incident = self.incident().await?;
            let state = incident.analysis.as_ref().map(|analysis| analysis.state);
            if state.is_some_and(|state| state != AnalysisState::Pending) {
                return Ok(incident);
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the model's answer is not stored after {ANSWER_DEADLINE:?}\n{}",
                self.stack.aggregator.log_end()
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until the model was asked.
    pub(super) async fn asked(&self) -> anyhow::Result<()> {
        let server = self.server.as_ref().context("this case has no model")?;
        let deadline = Instant::now() + ANSWER_DEADLINE;
        while server.requests().is_empty() {
            anyhow::ensure!(Instant::now() < deadline, "the model was never asked");
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// What a person sees who asks.
    pub(super) async fn why(&self) -> anyhow::Result<String> {
        let mut command = self.stage.cli(&["why", &self.played.target]);
        let output = command
            .env("COLUMNS", COLUMNS)
            .env("NO_COLOR", "1")
            .output()
            .await?;
        anyhow::ensure!(
            output.status.success(),
            "inquest why ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Milliseconds that a person waits who asks: the median of a few times.
    pub(super) async fn time_to_why(&self) -> anyhow::Result<f64> {
        let mut times = Vec::with_capacity(ASKED);
        for _ in 0..ASKED {
            let since = Instant::now();
            self.why().await?;
            times.push(since.elapsed().as_secs_f64() * 1e3);
        }
        median(&times).context("nothing was timed")
    }

    /// Ends the daemons; fails unless they end well.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        drop(self.played);
        self.stack.stop().await
    }
}

fn configuration(server: &Server, protocol: Protocol, dir: &Path) -> anyhow::Result<String> {
    let key = dir.join("key");
    std::fs::write(&key, KEY).context("failed to write the key")?;
    Ok(format!(
        "analysis:\n  provider: {}\n  base_url: {}\n  model: {MODEL}\n  key_file: {}\n",
        word(protocol),
        server.base_url(),
        key.display()
    ))
}
