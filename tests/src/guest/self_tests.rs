//! The agent's self-test in a guest: by the hooks that it chooses, and by each hook alone. Must take only the
//! agent's word for what is not possible, and shows it.

use std::process::Stdio;

use anyhow::Context as _;
use serde::Deserialize;
use tokio::process::Command;

use super::initramfs::AGENT;
use crate::proof::Proof;

/// Every hook that a probe may be attached by, each tried alone.
const HOOKS: [&str; 3] = ["tp_btf", "raw_tp", "tracepoint"];

/// What `inquest-agent self-test -o json` prints.
#[derive(Debug, Deserialize)]
struct Report {
    outcomes: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    check: String,
    verdict: String,
    #[serde(default)]
    hook: String,
    #[serde(default)]
    why: String,
}

pub(super) async fn prove(proof: &mut Proof) -> anyhow::Result<()> {
    run(None, proof).await?;
    for hook in HOOKS {
        run(Some(hook), proof).await?;
    }
    Ok(())
}

async fn run(hook: Option<&str>, proof: &mut Proof) -> anyhow::Result<()> {
    let mut command = Command::new(AGENT);
    command.args(["self-test", "--output", "json"]);
    if let Some(hook) = hook {
        command.args(["--hook", hook]);
    }
    let output = command
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("failed to run the self-test")?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the self-test ended with {}", output.status))?;
    let by = hook.unwrap_or("best hook");
    for outcome in &report.outcomes {
        let Outcome {
            check, hook, why, ..
        } = outcome;
        let name = format!("self-test by {by}: {check}");
        match outcome.verdict.as_str() {
            "pass" => proof.exactly(&name, "pass", "pass"),
            "not_possible" => proof.figure(&name, format!("not possible here: {why}"))?,
            verdict => proof.exactly(&name, format!("{verdict} {hook}: {why}"), "pass".to_owned()),
        }
    }
    let failed = report
        .outcomes
        .iter()
        .any(|outcome| outcome.verdict == "fail");
    let name = format!("self-test by {by}: exit code tells of failure");
    proof.exactly(&name, !output.status.success(), failed);
    Ok(())
}
