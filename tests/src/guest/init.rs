//! The init of a guest: makes it a machine that the agent can be proven on, has it proven, and powers it off.
//! Must only ever run as process 1 of a guest.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, reboot};

use super::wire::{Line, Speaker};
use super::{drop_reasons, initramfs, oom};
use crate::proof::Proof;
use crate::traces::Traces;
use crate::{host, output, self_test};

/// The serial line to the harness; the first one is the console.
const LINE: &str = "/dev/ttyS1";
/// What is mounted, in this order: kind and place.
const MOUNTS: [(&str, &str); 6] = [
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("tracefs", "/sys/kernel/tracing"),
    ("tmpfs", "/tmp"),
];
/// Controllers that scratch cgroups are to have, as far as the kernel has them.
const CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "io"];

/// Proves the agent on this guest's kernel and powers off.
pub async fn run() -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        std::process::id() == 1,
        "this is for process 1 of a guest; run `cargo xtask test-kernel`"
    );
    if let Err(error) = live().await {
        output::talk(format_args!("error: {error:#}"));
    }
    reboot(RebootCommand::PowerOff).context("failed to power off")?;
    Ok(ExitCode::FAILURE)
}

async fn live() -> anyhow::Result<()> {
    for (kind, place) in MOUNTS {
        mount(kind, place, kind, MountFlags::empty(), None)
            .with_context(|| format!("failed to mount {place}"))?;
    }
    grant_controllers(Path::new("/sys/fs/cgroup"))?;
    let mut speaker = Speaker::open(LINE)?;
    speaker.say(&Line::Up(host::kernel_release()))?;
    if let Err(error) = prove(&mut speaker).await {
        speaker.say(&Line::Failed(format!("{error:#}")))?;
    }
    speaker.say(&Line::End)
}

fn grant_controllers(root: &Path) -> anyhow::Result<()> {
    let available = fs::read_to_string(root.join("cgroup.controllers"))
        .context("failed to read which controllers there are")?;
    for controller in CONTROLLERS {
        if available.split_whitespace().any(|name| name == controller) {
            fs::write(
                root.join("cgroup.subtree_control"),
                format!("+{controller}"),
            )
            .with_context(|| format!("failed to grant the {controller} controller"))?;
        }
    }
    Ok(())
}

/// What is proven, part by part; each is heard as soon as it is known.
async fn prove(speaker: &mut Speaker) -> anyhow::Result<()> {
    let mut proof = Proof::begin("guest")?;
    let before = Traces::find()?;
    self_test::prove(Path::new(initramfs::AGENT), &mut proof).await?;
    let left = Traces::find()?;
    proof.exactly(
        "left behind by the self-tests",
        left.since(&before).join(", "),
        String::new(),
    );
    hand_on(&mut proof, speaker)?;
    drop_reasons::prove(&mut proof)?;
    hand_on(&mut proof, speaker)?;
    oom::prove(&mut proof).await?;
    hand_on(&mut proof, speaker)
}

fn hand_on(proof: &mut Proof, speaker: &mut Speaker) -> anyhow::Result<()> {
    let (figures, bars) = proof.take();
    for (name, figure) in figures {
        let figure = figure
            .as_str()
            .map_or_else(|| figure.to_string(), str::to_owned);
        speaker.say(&Line::Figure(name, figure))?;
    }
    for bar in bars {
        output::line(&bar);
        speaker.say(&Line::Bar(bar))?;
    }
    Ok(())
}
