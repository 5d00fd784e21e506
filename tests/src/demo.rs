//! Demos: a failure made on purpose, the report the product gives about it, and how long that took.
//! Must hold the report against what was really done, not against what the product says.

mod accept_queue;
mod child_oom;
mod disk_full;
mod dns;
mod dropped;
mod exec_format;
mod killed_by_sibling;
mod missing_file;
mod oom;
mod pids_limit;
mod play;
mod refused;
mod segfault;
mod sigkill;
mod slow_lock;
mod stage;

use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

pub(crate) use play::is_address;
pub use play::{Name, Played};
pub use stage::Stage;

use crate::proof::Proof;
use crate::victim::Launcher;
use crate::{host, output};

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
    /// The main process of a cgroup is killed by another one in it.
    KilledBySibling,
    /// A program ends because its configuration file is not there.
    MissingFile,
    /// A program that was built for another machine is executed.
    ExecFormat,
    /// A client connects again and again to a port at which nobody listens.
    Refused,
    /// A firewall rule drops what a client sends to a server that would answer.
    Dropped,
    /// A resolver never answers.
    Dns,
    /// A process starts children until its cgroup may have no more tasks.
    PidsLimit,
    /// A program ends because the file system that it writes to is full.
    DiskFull,
    /// A server accepts nobody, so that its clients find the queue full.
    AcceptQueue,
    /// Threads queue for a lock whose holder sleeps.
    SlowLock,
}

impl Demo {
    /// Makes the failure happen.
    pub async fn play(self, launcher: &Launcher) -> anyhow::Result<Played> {
        match self {
            Self::Oom => oom::play(launcher).await,
            Self::ChildOom => child_oom::play(launcher).await,
            Self::Segfault => segfault::play(launcher).await,
            Self::Sigkill => sigkill::play(launcher).await,
            Self::KilledBySibling => killed_by_sibling::play(launcher).await,
            Self::MissingFile => missing_file::play(launcher).await,
            Self::ExecFormat => exec_format::play(launcher).await,
            Self::Refused => refused::play(launcher).await,
            Self::Dropped => dropped::play(launcher).await,
            Self::Dns => dns::play(launcher).await,
            Self::PidsLimit => pids_limit::play(launcher).await,
            Self::DiskFull => disk_full::play(launcher).await,
            Self::AcceptQueue => accept_queue::play(launcher).await,
            Self::SlowLock => slow_lock::play(launcher).await,
        }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oom => "oom",
            Self::ChildOom => "child-oom",
            Self::Segfault => "segfault",
            Self::Sigkill => "sigkill",
            Self::KilledBySibling => "killed-by-sibling",
            Self::MissingFile => "missing-file",
            Self::ExecFormat => "exec-format",
            Self::Refused => "refused",
            Self::Dropped => "dropped",
            Self::Dns => "dns",
            Self::PidsLimit => "pids-limit",
            Self::DiskFull => "disk-full",
            Self::AcceptQueue => "accept-queue",
            Self::SlowLock => "slow-lock",
        }
    }
}

/// Shows a demo against the aggregator at `base`, and judges the report.
pub async fn run(demo: Demo, base: &str, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    host::require_root("a demo")?;
    let stage = Stage::against_running(base).await?;
    let mut proof = Proof::begin(format!("demo {}", demo.name()))?;
    let played = demo.play(&stage.launcher).await?;
    if stage.judge(demo.name(), &played, &mut proof).await? {
        stage.show_report(&played).await?;
    } else {
        output::talk("next: `inquest doctor` tells what the agent cannot see");
    }
    proof.finish(json)
}
