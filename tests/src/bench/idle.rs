//! What the daemons cost while nothing happens: memory and CPU time, the kernel programs' included.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::bpf::{self, RunTimeAccounting};
use super::{median_of, process};
use crate::binaries::Binaries;
use crate::proof::{Proof, mib, percent};
use crate::stack::Stack;
use crate::{host, output};

/// Start-up work that ends shortly after readiness is not part of being idle.
const SETTLE: Duration = Duration::from_secs(5);
/// Memory is looked at so often, and the largest figure counts.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const AGENT_MEMORY_BAR_MIB: f64 = 40.0;
const AGENT_CPU_BAR_PERCENT: f64 = 0.1;
const AGGREGATOR_MEMORY_BAR_MIB: f64 = 60.0;

/// How much to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Seconds of each run.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Runs, each of a fresh stack; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

#[derive(Debug, Serialize)]
struct Run {
    load: f64,
    agent_rss_bytes: u64,
    agent_map_bytes: u64,
    maps: u64,
    programs: u64,
    agent_cpu_fraction: f64,
    bpf_cpu_fraction: f64,
    bpf_runs: u64,
    aggregator_rss_bytes: u64,
    aggregator_cpu_fraction: f64,
}

impl Run {
    fn agent_bytes(&self) -> f64 {
        (self.agent_rss_bytes + self.agent_map_bytes) as f64
    }

    fn agent_cpu(&self) -> f64 {
        self.agent_cpu_fraction + self.bpf_cpu_fraction
    }
}

/// Runs the bench.
pub async fn run(options: Options, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    host::require_root("this bench")?;
    let binaries = Binaries::beside_own()?;
    let _accounting = RunTimeAccounting::switch_on()?;
    let mut proof = Proof::begin("bench idle")?;
    let mut runs = Vec::new();
    for number in 1..=options.runs {
        let run = measure(&binaries, Duration::from_secs(options.seconds)).await?;
        show(number, options.seconds, &run);
        runs.push(run);
    }
    proof.keep("runs", &runs)?;
    let agent_bytes = median_of(&runs, Run::agent_bytes)?;
    let agent_cpu = median_of(&runs, Run::agent_cpu)?;
    let aggregator_bytes = median_of(&runs, |run| run.aggregator_rss_bytes as f64)?;
    proof.at_most("agent RSS and maps", mib(agent_bytes), AGENT_MEMORY_BAR_MIB);
    proof.at_most(
        "agent CPU, of one core, programs included",
        percent(agent_cpu),
        AGENT_CPU_BAR_PERCENT,
    );
    proof.at_most(
        "aggregator RSS",
        mib(aggregator_bytes),
        AGGREGATOR_MEMORY_BAR_MIB,
    );
    proof.finish(json)
}

fn show(number: u32, seconds: u64, run: &Run) {
    output::line(format_args!(
        "  run {number}: {seconds} s, load {:.2}; agent RSS {} + {} maps {}, CPU {} + {} programs {} in {} runs; aggregator RSS {}, CPU {}",
        run.load,
        mib(run.agent_rss_bytes as f64),
        run.maps,
        mib(run.agent_map_bytes as f64),
        percent(run.agent_cpu_fraction),
        run.programs,
        percent(run.bpf_cpu_fraction),
        run.bpf_runs,
        mib(run.aggregator_rss_bytes as f64),
        percent(run.aggregator_cpu_fraction),
    ));
}

async fn measure(binaries: &Binaries, span: Duration) -> anyhow::Result<Run> {
    let mut stack = Stack::start(binaries, "").await?;
    let (agent, aggregator) = (stack.agent()?.pid()?, stack.aggregator.pid()?);
    sleep(SETTLE).await;
    let load = host::load_average()?;
    let (since, before) = (Instant::now(), bpf::cost(agent)?);
    let (agent_cpu, aggregator_cpu) = (process::cpu_ns(agent)?, process::cpu_ns(aggregator)?);
    let (mut agent_rss, mut aggregator_rss) = (0, 0);
    while since.elapsed() < span {
        sleep(SAMPLE_EVERY.min(span)).await;
        agent_rss = agent_rss.max(process::rss_bytes(agent)?);
        aggregator_rss = aggregator_rss.max(process::rss_bytes(aggregator)?);
    }
    let after = bpf::cost(agent)?;
    anyhow::ensure!(
        after.programs > 0,
        "the agent has no kernel programs: the bench would flatter it\n{}",
        stack.agent()?.log_end()
    );
    let elapsed = since.elapsed().as_nanos() as f64;
    let fraction = |from: u64, to: u64| to.saturating_sub(from) as f64 / elapsed;
    let run = Run {
        load,
        agent_rss_bytes: agent_rss,
        agent_map_bytes: after.map_bytes,
        maps: after.maps,
        programs: after.programs,
        agent_cpu_fraction: fraction(agent_cpu, process::cpu_ns(agent)?),
        bpf_cpu_fraction: fraction(before.run_ns, after.run_ns),
        bpf_runs: after.runs.saturating_sub(before.runs),
        aggregator_rss_bytes: aggregator_rss,
        aggregator_cpu_fraction: fraction(aggregator_cpu, process::cpu_ns(aggregator)?),
    };
    stack.stop().await?;
    Ok(run)
}
