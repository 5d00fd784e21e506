//! Kernel tests: what the probes report of a real kernel, against what the harness did and what the
//! kernel's own counters and log say.

mod oom_storm;
mod probes;

use std::path::Path;
use std::process::ExitCode;

use crate::binaries::Binaries;
use crate::demo::{Demo, Stage};
use crate::host;
use crate::proof::Proof;
use crate::stack::Stack;
use crate::victim::Launcher;

pub use oom_storm::Storm;

/// Where and how much.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// On the kernel that runs this machine; the only place so far.
    #[arg(long, required = true)]
    host: bool,
    #[command(flatten)]
    storm: Storm,
}

/// Runs the tests against a private stack.
pub async fn run(options: Options, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    host::require_root("this test")?;
    let binaries = Binaries::beside_own()?;
    let mut proof = Proof::begin("test-kernel --host")?;
    let stack = Stack::start(&binaries, "").await?;
    let stage = Stage::new(stack.client.clone(), Launcher::own()?, &binaries.cli);
    oom_storm::prove(options.storm, &stage, &mut proof).await?;
    probes::prove(&stage, &mut proof).await?;
    stack.stop().await?;
    proof.finish(json)
}

/// A small run of everything, for `cargo xtask test`.
pub async fn prove_briefly(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    const BRIEF: Storm = Storm {
        cgroups: 3,
        victims: 2,
    };
    oom_storm::prove(BRIEF, stage, proof).await?;
    probes::prove(stage, proof).await
}

/// Every demo, judged but not shown.
async fn prove_demos(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    for demo in Demo::ALL {
        let played = demo.play(stage).await?;
        stage.judge(demo.name(), &played, proof).await?;
    }
    Ok(())
}
