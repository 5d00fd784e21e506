//! Crash tests: `kill -9` at random moments under load, then a look for what was lost or doubled.
//! Must make no claim about what happened while nobody watched.

mod agent;
mod aggregator;
mod moments;

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;
use inquest_proto::v1;

use crate::binaries::Binaries;
use crate::host;
use crate::proof::Proof;

use moments::Moments;

/// Whom to kill.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Target {
    Aggregator,
    Agent,
}

/// How often, whom, and by which random numbers.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Kills of each daemon.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Kills only this one [default: one after the other].
    #[arg(long, value_enum)]
    only: Option<Target>,
    /// Repeats the moments of an earlier run, which printed it.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs the crash tests.
pub async fn run(options: Options, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let binaries = Binaries::beside_own()?;
    let mut proof = Proof::begin("test-crash")?;
    let seed = match options.seed {
        Some(seed) => seed,
        None => getrandom::u64().map_err(anyhow::Error::msg)?,
    };
    proof.figure("seed", seed)?;
    if options.only != Some(Target::Agent) {
        let moments = Moments::from_seed(seed);
        aggregator::prove(&binaries, options.rounds, moments, &mut proof).await?;
    }
    if options.only != Some(Target::Aggregator) {
        host::require_root("killing the agent under real load")?;
        let moments = Moments::from_seed(seed);
        agent::prove(&binaries, options.rounds, moments, &mut proof).await?;
    }
    proof.finish(json)
}

/// How often each signal is stored.
fn count_ids(signals: &[v1::Signal]) -> HashMap<&str, u32> {
    let mut stored = HashMap::new();
    for signal in signals {
        *stored.entry(signal.id.as_str()).or_default() += 1;
    }
    stored
}

/// Signals that are stored more than once.
fn doubled(stored: &HashMap<&str, u32>) -> usize {
    stored.values().filter(|count| **count > 1).count()
}
