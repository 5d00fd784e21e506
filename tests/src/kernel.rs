//! Kernel tests: what the probes report of a real kernel, against what the harness did and what the
//! kernel's own counters and log say.

mod lifecycle;
mod oom_storm;
mod probes;
mod profile;
mod resources;
mod senders;
mod short_lives;

use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum as _;

use crate::binaries::Binaries;
use crate::demo::{Demo, Stage};
use crate::guest;
use crate::host;
use crate::proof::Proof;
use crate::self_test;
use crate::stack::{ALWAYS_ON, Stack};
use crate::victim::Launcher;

pub use oom_storm::Storm;
pub use short_lives::ShortLives;

/// Names that a container runtime gives to cgroups, for tests of attribution.
const POD_UID: &str = "0f5e2c1a-7b3d-4e8f-9a6b-1c2d3e4f5a6b";
const CONTAINER_ID: &str = "3f9d1b7c5a2e4860b1d2c3f4a5968778695a4b3c2d1e0f1a2b3c4d5e6f708192";

/// Where and how much.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// On the kernel that runs this machine, instead of in guests.
    #[arg(long, conflicts_with_all = ["guest", "without"])]
    host: bool,
    #[command(flatten)]
    storm: Storm,
    #[command(flatten)]
    lives: ShortLives,
    #[command(flatten)]
    guests: guest::Options,
}

/// Runs the tests, in guests or against a private stack.
pub async fn run(options: Options, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    if !options.host {
        return guest::run(options.guests, json).await;
    }
    host::require_root("this test")?;
    let binaries = Binaries::beside_own()?;
    let mut proof = Proof::begin("test-kernel --host")?;
    let mut stack = Stack::start_with(&binaries, "", ALWAYS_ON).await?;
    let agent = stack.agent()?.admin().base().to_owned();
    let stage = Stage::new(stack.client.clone(), Launcher::own()?, &binaries.cli);
    oom_storm::prove(options.storm, &stage, &mut proof).await?;
    probes::prove(&stage, &mut proof).await?;
    senders::prove(&stage, &mut proof).await?;
    lifecycle::prove(&stage, &mut proof).await?;
    short_lives::prove(options.lives, &stage, &mut proof).await?;
    profile::prove(&stage, &agent, &mut proof).await?;
    resources::prove(&stage, &mut proof).await?;
    stack.stop().await?;
    self_test::prove(&binaries.agent, None, &mut proof).await?;
    proof.finish(json)
}

/// A small run of everything, for `cargo xtask test`; the agent's own page is at `agent`.
pub async fn prove_briefly(stage: &Stage, agent: &str, proof: &mut Proof) -> anyhow::Result<()> {
    const BRIEF: Storm = Storm {
        cgroups: 3,
        victims: 2,
    };
    const FEW: ShortLives = ShortLives { containers: 20 };
    oom_storm::prove(BRIEF, stage, proof).await?;
    probes::prove(stage, proof).await?;
    senders::prove(stage, proof).await?;
    lifecycle::prove(stage, proof).await?;
    profile::prove(stage, agent, proof).await?;
    short_lives::prove(FEW, stage, proof).await
}

/// Every demo, judged but not shown.
async fn prove_demos(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    for demo in Demo::value_variants() {
        let played = demo.play(&stage.launcher).await?;
        stage.judge(demo.name(), &played, proof).await?;
    }
    Ok(())
}
