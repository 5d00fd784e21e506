//! What the agent costs its node: how much slower the node's work becomes, and what the agent itself
//! takes under load, beside bpftrace doing the same jobs. Must measure all sides in one run.

mod bpftrace;
mod load;
mod side;
mod slowdown;
mod storm;
mod told;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::binaries::Binaries;
use crate::host;
use crate::proof::Proof;
use crate::victim::Launcher;

/// How much to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// Rounds through all sides; the medians count.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each load.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

/// Runs the bench.
pub async fn run(options: Options, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    host::require_root("this bench")?;
    let binaries = Binaries::beside_own()?;
    let launcher = Launcher::own()?;
    let mut proof = Proof::begin("bench agent")?;
    slowdown::prove(options.rounds, &binaries, &launcher, &mut proof).await?;
    let span = Duration::from_secs(options.seconds);
    load::prove(span, &binaries, &launcher, &mut proof).await?;
    storm::prove(span, &binaries, &launcher, &mut proof).await?;
    proof.finish(json)
}
