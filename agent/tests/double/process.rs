//! The real binary, started with a configuration of its own and looked at from outside.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// Far beyond what anything here takes; only a hang gets there.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// Returns a command for the binary, without the surroundings of whoever runs the tests.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inquest-agent"));
    command
        .env_remove("NODE_NAME")
        .env_remove("POD_IP")
        .stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    command().args(args).output().unwrap()
}

/// An answer of the admin page.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// A running agent; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    log: Arc<Mutex<String>>,
    /// Ends with the log.
    reader: JoinHandle<()>,
}

impl Agent {
    /// Starts an agent with a state directory, an aggregator and an admin port of its own; no probe
    /// is attached, so that only the test decides what it ships.
    pub(crate) fn start(state_dir: &Path, aggregator: &str) -> Self {
        let names: Vec<_> = inquest_agent::probes::names().collect();
        let probes = format!("probes: {{disabled: [{}]}}\n", names.join(", "));
        Self::watch_with(command(), state_dir, aggregator, &probes)
    }

    /// Starts one that attaches its probes, from a prepared command.
    pub(crate) fn watch(command: Command, state_dir: &Path, aggregator: &str) -> Self {
        Self::watch_with(command, state_dir, aggregator, "")
    }

    /// As [`Self::watch`], with more configuration.
    pub(crate) fn watch_with(
        mut command: Command,
        state_dir: &Path,
        aggregator: &str,
        more: &str,
    ) -> Self {
        let config = state_dir.with_extension("yaml");
        let yaml = format!(
            "aggregator: {aggregator}\nadmin_listen: 127.0.0.1:0\nstate_dir: {}\n\
             node_name: node-a\nlog: {{format: json}}\n{more}",
            state_dir.display(),
        );
        std::fs::write(&config, yaml).unwrap();
        let command = command.arg("--config").arg(config).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *seen.lock().unwrap() += &(line + "\n");
            }
        });
        Self { child, log, reader }
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds some words.
    pub(crate) async fn logged(&self, words: &str) {
        let is_logged = self.logged_before_its_end(words).await;
        assert!(is_logged, "ended without `{words}` in {}", self.log());
    }

    /// Waits until the log holds some words, or ends; returns whether it holds them.
    pub(crate) async fn logged_before_its_end(&self, words: &str) -> bool {
        let deadline = Instant::now() + DEADLINE;
        loop {
            // Asked first: what is logged at the very end counts.
            let has_ended = self.reader.is_finished();
            if self.log().contains(words) || has_ended {
                return self.log().contains(words);
            }
            assert!(Instant::now() < deadline, "no `{words}` in {}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Its id, or that of what it was started behind.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks the admin page.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    /// Asks the admin page with a method and a body.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin().await).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let len = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\
             Content-Type: text/plain\r\nContent-Length: {len}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            body: body.to_owned(),
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running: {}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn admin(&self) -> SocketAddr {
        self.logged("admin page is up").await;
        let log = self.log();
        let line = log
            .lines()
            .find(|line| line.contains("admin page is up"))
            .unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["fields"]["address"].as_str().unwrap().parse().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}
