//! How long it takes from an OOM kill until the API shows its incident: from the victim's pidfd
//! turning readable to the first HTTP answer that holds the incident.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::median_of;
use crate::binaries::Binaries;
use crate::client::Client;
use crate::proof::{Proof, ms, quantile};
use crate::scratch::Scratch;
use crate::stack::Stack;
use crate::victim::{Act, Ended, Launcher};
use crate::{host, output};

const SIGKILL: i32 = 9;
const LIMIT_BYTES: u64 = 16 << 20;
/// Longest wait for one incident.
const INCIDENT_DEADLINE: Duration = Duration::from_secs(30);
const P99_BAR_MS: f64 = 500.0;
/// What the design should allow: a ring wake-up takes microseconds, a durable commit a few ms.
const P99_AIM_MS: f64 = 50.0;

/// How much to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// OOM kills per run, each in a fresh cgroup.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// Runs, each against a fresh stack; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

#[derive(Debug, Serialize)]
struct Run {
    load: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    all_ms: Vec<f64>,
}

/// Runs the bench.
pub async fn run(options: Options, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    host::require_root("this bench")?;
    let binaries = Binaries::beside_own()?;
    let launcher = Launcher::own()?;
    let mut proof = Proof::begin("bench oom-latency")?;
    let mut runs = Vec::new();
    for number in 1..=options.runs {
        let run = measure(&binaries, &launcher, options.kills).await?;
        output::line(format_args!(
            "  run {number}: {} kills, p50 {}, p99 {}, max {}, load {:.2}",
            options.kills,
            ms(run.p50_ms),
            ms(run.p99_ms),
            ms(run.max_ms),
            run.load
        ));
        runs.push(run);
    }
    let p50 = median_of(&runs, |run| run.p50_ms)?;
    let p99 = median_of(&runs, |run| run.p99_ms)?;
    proof.keep("runs", &runs)?;
    proof.figure("p50", ms(p50).to_string())?;
    let verdict = if p99 < P99_AIM_MS { "met" } else { "missed" };
    proof.figure("aim for p99", format!("< {}: {verdict}", ms(P99_AIM_MS)))?;
    proof.below("p99 from kill to visible", ms(p99), P99_BAR_MS);
    proof.finish(json)
}

async fn measure(binaries: &Binaries, launcher: &Launcher, kills: u32) -> anyhow::Result<Run> {
    let stack = Stack::start(binaries, "").await?;
    let load = host::load_average()?;
    let mut all_ms = Vec::new();
    for _ in 0..kills {
        all_ms.push(kill_once(&stack.client, launcher).await?);
    }
    stack.stop().await?;
    let at = |q| quantile(&all_ms, q).context("a run needs at least one kill");
    Ok(Run {
        load,
        p50_ms: at(0.5)?,
        p99_ms: at(0.99)?,
        max_ms: at(1.0)?,
        all_ms,
    })
}

async fn kill_once(client: &Client, launcher: &Launcher) -> anyhow::Result<f64> {
    let cgroup = Scratch::create(Some(LIMIT_BYTES))?;
    let mut victim = launcher.launch(&cgroup, "hungry", Act::Grow).await?;
    victim.release().await?;
    let death = victim.death().await?;
    let incident = client
        .first_incident(&cgroup.path(), INCIDENT_DEADLINE)
        .await?;
    let elapsed = death.elapsed_ms();
    death.must_be(Ended::Signal(SIGKILL))?;
    anyhow::ensure!(
        incident.is_some(),
        "the OOM kill of {} in {} was not reported within {INCIDENT_DEADLINE:?}",
        death.pid,
        cgroup.path()
    );
    Ok(elapsed)
}
