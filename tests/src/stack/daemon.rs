//! One daemon under test: started, killed, asked to end, started again. Must show the end of its log
//! when it does not behave.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::client::Client;

/// How long a daemon may take to be ready; generous, since the machine may be busy.
const READY_DEADLINE: Duration = Duration::from_mins(1);
/// How long a daemon may take to end when asked; its own deadlines are shorter.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between looks at a daemon that is starting.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Lines of the log that an error shows.
const SHOWN_LINES: usize = 20;

/// A child process that answers `/readyz`. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    name: &'static str,
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    admin: Client,
    child: Child,
}

impl Daemon {
    /// Starts it and waits until it is ready. Its output goes beside its configuration.
    pub(super) async fn start(
        name: &'static str,
        program: &Path,
        config: &Path,
        answers_on: SocketAddr,
    ) -> anyhow::Result<Self> {
        let log = config.with_extension("log");
        let mut daemon = Self {
            name,
            program: program.to_owned(),
            config: config.to_owned(),
            admin: Client::new(format!("http://{answers_on}"))?,
            child: spawn(program, config, &log)?,
            log,
        };
        daemon.ready().await?;
        Ok(daemon)
    }

    /// Its pid.
    pub fn pid(&self) -> anyhow::Result<u32> {
        let pid = self.child.id();
        pid.with_context(|| format!("the {} does not run", self.name))
    }

    /// Its own page: `/readyz`, `/metrics`, and of the agent `/status`.
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// Kills it as `kill -9` does, and reaps it.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("failed to kill the {}", self.name))
    }

    /// Starts it again with the same state and waits until it is ready.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.launch_again()?;
        self.ready().await
    }

    /// Starts it again with the same state and waits for nothing.
    pub fn launch_again(&mut self) -> anyhow::Result<()> {
        self.child = spawn(&self.program, &self.config, &self.log)?;
        Ok(())
    }

    /// Waits until it is ready; fails with the end of its log when it ends, or takes too long.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_DEADLINE;
        while !self.admin.is_ready().await {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("the {} ended: {status}\n{}", self.name, self.log_end());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the {} is not ready after {READY_DEADLINE:?}\n{}",
                self.name,
                self.log_end()
            );
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no such pid")?, signal)
            .with_context(|| format!("failed to signal the {}", self.name))
    }

    /// Asks it to end; fails unless it ends in time with code 0.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.ended().await?;
        anyhow::ensure!(
            status.success(),
            "the {} ended with {status} when asked to end\n{}",
            self.name,
            self.log_end()
        );
        Ok(())
    }

    async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let status = tokio::time::timeout(STOP_DEADLINE, self.child.wait()).await;
        let status = status.with_context(|| {
            format!(
                "the {} did not end within {STOP_DEADLINE:?}\n{}",
                self.name,
                self.log_end()
            )
        })?;
        Ok(status?)
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        let end = lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES));
        end.copied().collect::<Vec<_>>().join("\n")
    }
}

fn spawn(program: &Path, config: &Path, log: &Path) -> anyhow::Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("failed to open {}", log.display()))?;
    Command::new(program)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("failed to start {}", program.display()))
}
