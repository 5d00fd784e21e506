//! Explanation tests: models that lie, refuse and hang, seen through `inquest why`. The engine's
//! report must stay what it is, and nothing invented may reach the screen.

mod case;
mod lies;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use inquest_api::{AnalysisState, Incident};
use testkit::llm::{Behaviour, Protocol};

use crate::binaries::Binaries;
use crate::host;
use crate::proof::{Proof, ms};
use crate::victim::Launcher;

use case::Case;

/// Far below the minute that a provider is given, far above what starting a process takes.
const AT_ONCE_BAR_MS: f64 = 1000.0;
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
