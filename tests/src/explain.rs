//! Explanation tests: models that lie, refuse and hang, seen through `inquest why`. The engine's
//! report must stay what it is, and nothing invented may reach the screen.

mod lies;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use inquest_api::{AnalysisState, Incident};
use tempfile::TempDir;
use testkit::llm::{Behaviour, KEY, MODEL, Protocol, Server};
use tokio::time::{Instant, sleep};

use crate::binaries::Binaries;
use crate::demo::{Demo, Played, Stage};
use crate::host;
use crate::proof::{Proof, median, ms};
use crate::stack::Stack;
use crate::victim::Launcher;

/// Longest wait until a model's answer is stored.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Far below the minute that a provider is given, far above what starting a process takes.
const AT_ONCE_BAR_MS: f64 = 1000.0;
/// Times that `inquest why` is timed.
const ASKED: usize = 5;
/// Wide enough that no sentence is broken over two lines.
const COLUMNS: &str = "500";

/// One incident on a private stack, with or without a model.
struct Case {
    stack: Stack,
    stage: Stage,
    played: Played,
    server: Option<Server>,
    /// Read at each call to the model.
    _key: TempDir,
}

/// Runs the tests.
pub async fn run(json: Option<&Path>) -> anyhow::Result<ExitCode> {
    host::require_root("this test")?;
    let binaries = Binaries::beside_own()?;
    let mut proof = Proof::begin("test-explain")?;
    prove(&binaries, &Launcher::own()?, &mut proof).await?;
    proof.finish(json)
}

/// The same, for `cargo xtask test` too.
pub async fn prove(
    binaries: &Binaries,
    launcher: &Launcher,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let off = Case::open(binaries, launcher, None).await?;
    let without = off.time_to_why().await?;
    proof.figure("why without a model", ms(without).to_string())?;
    proof.exactly(
        "without a model: says off",
        off.why().await?.contains("off: no model"),
        true,
    );
    off.close().await?;
    for protocol in [Protocol::OpenAi, Protocol::Anthropic] {
        liar(binaries, launcher, protocol, proof).await?;
        refuser(binaries, launcher, protocol, proof).await?;
        hanger(binaries, launcher, protocol, proof).await?;
    }
    Ok(())
}

async fn liar(
    binaries: &Binaries,
    launcher: &Launcher,
    protocol: Protocol,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let behaviour = after_an_error(Behaviour::Answer(lies::among_honest_sentences()));
    let case = Case::open(binaries, launcher, Some((protocol, behaviour))).await?;
    let name = |what: &str| format!("{} lies: {what}", word(protocol));
    let first = case.incident().await?;
    let incident = case.answered().await?;
    let analysis = incident
        .analysis
        .as_ref()
        .context("no analysis is stored")?;
    proof.exactly(
        &name("answered"),
        analysis.state == AnalysisState::Done,
        true,
    );
    let screen = case.why().await?;
    for lie in lies::ALL {
        proof.exactly(
            &name(&format!("{} on the screen", lie.what)),
            lie.is_on(&screen),
            false,
        );
    }
    let dropped = format!(
        "{} sentences of the model's answer were dropped",
        lies::ALL.len()
    );
    proof.exactly(
        &name("count of dropped sentences shown"),
        screen.contains(&dropped),
        true,
    );
    let honest = analysis.sentences.len();
    proof.exactly(&name("honest sentences kept"), honest, lies::HONEST);
    let shown = analysis
        .sentences
        .iter()
        .filter(|s| screen.contains(&s.text));
    proof.exactly(&name("honest sentences shown"), shown.count(), lies::HONEST);
    let changed = changed(&first, &incident)?;
    proof.exactly(
        &name("changed in the engine's report"),
        changed.as_str(),
        "nothing",
    );
    case.close().await
}

async fn refuser(
    binaries: &Binaries,
    launcher: &Launcher,
    protocol: Protocol,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let behaviour = after_an_error(Behaviour::Refuse);
    let case = Case::open(binaries, launcher, Some((protocol, behaviour))).await?;
    let name = |what: &str| format!("{} refuses: {what}", word(protocol));
    let first = case.incident().await?;
    let incident = case.answered().await?;
    let screen = case.why().await?;
    proof.exactly(&name("says failed"), screen.contains("failed: "), true);
    proof.exactly(
        &name("headline shown"),
        screen.contains(&incident.headline),
        true,
    );
    let changed = changed(&first, &incident)?;
    proof.exactly(
        &name("changed in the engine's report"),
        changed.as_str(),
        "nothing",
    );
    case.close().await
}

async fn hanger(
    binaries: &Binaries,
    launcher: &Launcher,
    protocol: Protocol,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let case = Case::open(binaries, launcher, Some((protocol, Behaviour::Hang))).await?;
    let name = |what: &str| format!("{} hangs: {what}", word(protocol));
    let first = case.incident().await?;
    case.asked().await?;
    let waited = case.time_to_why().await?;
    let screen = case.why().await?;
    proof.below(&name("time to why"), ms(waited), AT_ONCE_BAR_MS);
    proof.exactly(&name("says pending"), screen.contains("pending: "), true);
    let changed = changed(&first, &case.incident().await?)?;
    proof.exactly(
        &name("changed in the engine's report"),
        changed.as_str(),
        "nothing",
    );
    case.close().await
}

/// Answers only when asked again, so that there is time to read the report before.
fn after_an_error(behaviour: Behaviour) -> Behaviour {
    Behaviour::Sequence(vec![Behaviour::ServerError, behaviour])
}

impl Case {
    async fn open(
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
        let played = Demo::Oom.play(&stage).await?;
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
        let pid = self.played.death.pid.to_string();
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

    async fn incident(&self) -> anyhow::Result<Incident> {
        let report = self.stage.client.why(&self.played.target).await?;
        let incident = report.and_then(|report| report.incidents.into_iter().next());
        incident.context("the incident is gone")
    }

    /// The incident once the model's answer, or its failure, is stored.
    async fn answered(&self) -> anyhow::Result<Incident> {
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
    async fn asked(&self) -> anyhow::Result<()> {
        let server = self.server.as_ref().context("this case has no model")?;
        let deadline = Instant::now() + ANSWER_DEADLINE;
        while server.requests().is_empty() {
            anyhow::ensure!(Instant::now() < deadline, "the model was never asked");
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// What a person sees who asks.
    async fn why(&self) -> anyhow::Result<String> {
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
    async fn time_to_why(&self) -> anyhow::Result<f64> {
        let mut times = Vec::with_capacity(ASKED);
        for _ in 0..ASKED {
            let since = Instant::now();
            self.why().await?;
            times.push(since.elapsed().as_secs_f64() * 1e3);
        }
        median(&times).context("nothing was timed")
    }

    async fn close(self) -> anyhow::Result<()> {
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

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::OpenAi => "openai",
        Protocol::Anthropic => "anthropic",
    }
}

/// The fields of the engine's own part that differ, which a model must not be able to change.
fn changed(before: &Incident, after: &Incident) -> anyhow::Result<String> {
    let engines = |incident: &Incident| {
        let own = Incident {
            analysis: None,
            ..incident.clone()
        };
        serde_json::to_value(own)
    };
    let (before, after) = (engines(before)?, engines(after)?);
    let fields = before.as_object().context("an incident is an object")?;
    let differing = fields
        .iter()
        .filter(|(key, value)| after.get(*key) != Some(*value));
    let names: Vec<_> = differing.map(|(key, _)| key.as_str()).collect();
    Ok(if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    })
}
