//! The agent's self-test, by the hooks that the agent chooses and by those it would fall back to. Takes only the
//! agent's word for what is not possible here, and shows it.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use serde::Deserialize;
use tokio::process::Command;

use crate::proof::Proof;

/// The hooks that one and the same probe may be had by, best first; those after the one that the agent
/// chose are each tried alone.
const LADDER: [&str; 4] = ["fexit", "tp_btf", "raw_tp", "tracepoint"];

/// The first of them, and the one probe that it is for: where the kernel refuses it, the self-test is to say why.
const BEST: &str = LADDER[0];
const PROBE_OF_BEST: &str = "sys_exit";

/// What `inquest-agent self-test -o json` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    outcomes: Vec<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    check: String,
    verdict: String,
    #[serde(default)]
    probe: String,
    #[serde(default)]
    hook: String,
    #[serde(default)]
    why: String,
}

/// Has `agent` test itself; each check that fails is short, and each that is not possible for a reason that does not
/// begin as one of `excused` does. `None` excuses every reason.
pub async fn prove(
    agent: &Path,
    excused: Option<&[&str]>,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let chosen = run(agent, "best hook", &[], proof).await?;
    judge("best hook", &chosen, excused, proof)?;
    for (index, hook) in LADDER.into_iter().enumerate() {
        let better = LADDER.get(..index).unwrap_or_default();
        let falls_back = |outcome: &&Outcome| {
            let was_refused = hook == BEST && outcome.hook != hook;
            better.contains(&outcome.hook.as_str())
                || (was_refused && outcome.probe == PROBE_OF_BEST)
        };
        let checks = chosen.outcomes.iter().filter(falls_back);
        let mut args = vec!["--hook", hook];
        args.extend(checks.flat_map(|outcome| ["--only", &outcome.check]));
        if args.contains(&"--only") {
            let report = run(agent, hook, &args, proof).await?;
            judge(hook, &report, excused, proof)?;
        }
    }
    Ok(())
}

impl Report {
    /// Returns what came of a check, and why where that is told; empty when it was not made.
    pub(crate) fn told(&self, check: &str) -> String {
        let mut outcomes = self.outcomes.iter();
        let outcome = outcomes.find(|outcome| outcome.check == check);
        outcome.map_or_else(String::new, |outcome| {
            format!("{} {}", outcome.verdict, outcome.why)
                .trim()
                .to_owned()
        })
    }
}

/// Runs a self-test that is ready to run, to its end.
pub(crate) async fn report(command: Command) -> anyhow::Result<Report> {
    Ok(finish(command).await?.0)
}

/// Returns what a self-test reports, and whether its exit code tells of success.
async fn finish(mut command: Command) -> anyhow::Result<(Report, bool)> {
    let output = command
        .args(["--output", "json"])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("failed to run the agent")?;
    let report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the self-test ended with {}", output.status))?;
    Ok((report, output.status.success()))
}

async fn run(agent: &Path, by: &str, args: &[&str], proof: &mut Proof) -> anyhow::Result<Report> {
    let mut command = Command::new(agent);
    command.arg("self-test").args(args);
    let (report, succeeded) = finish(command).await?;
    let failed = report
        .outcomes
        .iter()
        .any(|outcome| outcome.verdict == "fail");
    let name = format!("self-test by {by}: exit code tells of failure");
    proof.exactly(&name, !succeeded, failed);
    Ok(report)
}

fn judge(
    by: &str,
    report: &Report,
    excused: Option<&[&str]>,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    for outcome in &report.outcomes {
        let Outcome {
            check,
            verdict,
            hook,
            why,
            ..
        } = outcome;
        let by = if hook.is_empty() || by == hook {
            by.to_owned()
        } else {
            format!("{by}, {hook}")
        };
        let name = format!("self-test by {by}: {check}");
        let is_excused =
            excused.is_none_or(|reasons| reasons.iter().any(|start| why.starts_with(start)));
        if verdict == "pass" {
            proof.exactly(&name, "pass", "pass");
        } else if verdict == "not_possible" && is_excused {
            proof.figure(&name, format!("not possible here: {why}"))?;
        } else {
            let figure = format!("{verdict} {hook}: {why}");
            proof.exactly(&name, figure, "pass".to_owned());
        }
    }
    Ok(())
}
