//! Starts and stops the real aggregator.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{sync::watch, time::Instant};

/// Longest time that anything in these tests may take; a machine under load is slow, not stuck.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// The binary under test.
pub(super) const BINARY: &str = env!("CARGO_BIN_EXE_inquest-aggregator");

/// A command of the binary under test.
pub(super) fn command() -> Command {
    Command::new(BINARY)
}

/// Runs the binary to its end, which it must come to by itself.
pub(super) async fn run(args: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(command());
    let output = command.args(args).kill_on_drop(true).output();
    let ended = tokio::time::timeout(PATIENCE, output).await;
    ended.expect("the process ends by itself").unwrap()
}

/// A directory with the configuration and the state of one aggregator; outlives its processes.
pub(super) struct Home {
    dir: TempDir,
    config: PathBuf,
}

impl Home {
    pub(super) fn new() -> Self {
        Self::with_config("")
    }

    /// `extra` is added to a configuration with ports of the kernel's choice and a state directory.
    pub(super) fn with_config(extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Self {
            config: dir.path().join("aggregator.yaml"),
            dir,
        };
        home.configure(&home.state_dir(), extra);
        home
    }

    /// Writes the configuration anew.
    pub(super) fn configure(&self, state_dir: &Path, extra: &str) {
        let text = format!(
            "listen: 127.0.0.1:0\ningest_listen: 127.0.0.1:0\nstate_dir: {}\nlog: {{format: json}}\n{extra}\n",
            state_dir.display()
        );
        std::fs::write(&self.config, text).unwrap();
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(super) fn store(&self) -> PathBuf {
        self.state_dir().join("inquest.db")
    }

    pub(super) fn config(&self) -> &str {
        self.config.to_str().unwrap()
    }

    /// Runs the aggregator to its end.
    pub(super) async fn run(&self) -> Output {
        run(&["--config", self.config()]).await
    }

    /// Starts the aggregator and waits until it says that it is ready.
    pub(super) async fn start(&self) -> Daemon {
        self.start_by(command()).await
    }

    /// As `start`, by a command that becomes the aggregator when it is given its arguments.
    pub(super) async fn start_by(&self, mut command: Command) -> Daemon {
        let mut child = command
            .args(["--config", self.config()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (log, mut seen) = watch::channel(Vec::new());
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                log.send_modify(|log: &mut Vec<String>| log.push(line));
            }
        });
        let is_ready = |log: &Vec<String>| {
            log.iter()
                .any(|line| line.contains("\"message\":\"ready\""))
        };
        let ready = tokio::time::timeout(PATIENCE, seen.wait_for(is_ready)).await;
        let is_up = matches!(ready, Ok(Ok(_)));
        drop(ready);
        let log = seen.borrow().clone();
        assert!(is_up, "did not become ready:\n{}", log.join("\n"));
        Daemon {
            rest: bound(&log, "listen"),
            ingest: bound(&log, "ingest_listen"),
            log: seen,
            child,
        }
    }
}

/// The address that the log says was bound for a configuration key.
fn bound(log: &[String], key: &str) -> String {
    let lines = log
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let line = lines
        .filter(|line| line["message"] == "listening")
        .find(|line| line["key"] == key);
    line.unwrap()["address"].as_str().unwrap().to_owned()
}

/// A running aggregator; killed when dropped.
pub(super) struct Daemon {
    pub(super) rest: String,
    pub(super) ingest: String,
    log: watch::Receiver<Vec<String>>,
    child: Child,
}

impl Daemon {
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything logged so far.
    pub(super) fn log(&self) -> String {
        self.log.borrow().join("\n")
    }

    /// Ends it as a power cut would end the process.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for the end.
    pub(super) async fn terminate(mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        // SAFETY: kill(2) has no memory effects here; the pid is this test's own unreaped child.
        let sent = unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        assert_eq!(sent, 0);
        let status = poll("the process to end", async || {
            self.child.try_wait().unwrap()
        })
        .await;
        (status, started.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Either fails when the process has ended already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks again until there is an answer, within `PATIENCE`.
pub(super) async fn poll<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
