//! Demos: a failure made on purpose, the report the product gives about it, and how long that took.
//! Must hold the report against what was really done, not against what the product says.

mod child_oom;
mod oom;
mod play;
mod segfault;
mod sigkill;
mod stage;

use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

pub use play::{Name, Played};
pub use stage::Stage;

use crate::host;
use crate::proof::Proof;

/// The failures that can be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Demo {
    /// A process grows past the memory limit of a cgroup above its own.
    Oom,
    /// A child process is killed for memory while its container's process 1 lives on.
    ChildOom,
    /// A process writes to address 16.
    Segfault,
    /// A process is killed by another one.
    Sigkill,
}

impl Demo {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Oom, Self::ChildOom, Self::Segfault, Self::Sigkill];

    /// Makes the failure happen.
    pub async fn play(self, stage: &Stage) -> anyhow::Result<Played> {
        match self {
            Self::Oom => oom::play(stage).await,
            Self::ChildOom => child_oom::play(stage).await,
            Self::Segfault => segfault::play(stage).await,
            Self::Sigkill => sigkill::play(stage).await,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::ChildOom => "child-oom",
            Self::Segfault => "segfault",
            Self::Sigkill => "sigkill",
        }
    }
}

/// Shows a demo against the aggregator at `base`, and judges the report.
pub async fn run(demo: Demo, base: &str, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    host::require_root("a demo")?;
    let stage = Stage::against_running(base).await?;
    let mut proof = Proof::begin(format!("demo {}", demo.name()))?;
    let played = demo.play(&stage).await?;
    stage.judge(demo.name(), &played, &mut proof).await?;
    stage.show_report(&played).await?;
    proof.finish(json)
}
