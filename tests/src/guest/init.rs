//! The init of a guest: makes it a machine that the agent can be proven on, has it proven, and powers it off.
//! Must only ever run as process 1 of a guest.

use std::ffi::c_int;
use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, finit_module, reboot};

use super::wire::{Line, Speaker};
use super::{call_cost, drop_reasons, initramfs, oom, privileges};
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
/// `MODULE_INIT_COMPRESSED_FILE` (include/uapi/linux/module.h): the kernel is to decompress it.
const COMPRESSED: c_int = 4;
/// Why a check may be impossible in a guest; any other reason is a failure.
const GUEST_LACKS: Option<&[&str]> = Some(&[
    "a plain tracepoint does not tell",
    "kernels before 5.11 do not tell",
    "a call that a filter refuses does not come to the function",
    // 5.10.
    "probe `sys_exit` is not attached: fexit: this kernel attaches a program to the return of a function once only",
    "probe `udp_fail_queue_rcv_skb` is not attached: tracepoint: a plain tracepoint does not tell",
    "probe `neigh_timer_handler` is not attached: tracepoint: a plain tracepoint does not tell",
]);
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
    load_modules()?;
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

/// Loads the modules that a node would load when something asks for them.
fn load_modules() -> anyhow::Result<()> {
    let mut paths: Vec<_> = fs::read_dir(initramfs::MODULES)
        .context("failed to list the modules")?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // `inet_diag` comes before `tcp_diag`, which needs it.
    paths.sort();
    for path in paths {
        let is_compressed = path.extension().is_some_and(|extension| extension != "ko");
        let flags = if is_compressed { COMPRESSED } else { 0 };
        let file =
            File::open(&path).with_context(|| format!("failed to open {}", path.display()))?;
        finit_module(file, c"", flags)
            .with_context(|| format!("failed to load {}", path.display()))?;
    }
    Ok(())
}

/// What is proven, part by part; each is heard as soon as it is known.
async fn prove(speaker: &mut Speaker) -> anyhow::Result<()> {
    let mut proof = Proof::begin("guest")?;
    let before = Traces::find()?;
    self_test::prove(Path::new(initramfs::AGENT), GUEST_LACKS, &mut proof).await?;
    let left = Traces::find()?;
    proof.exactly(
        "left behind by the self-tests",
        left.since(&before).join(", "),
        String::new(),
    );
    hand_on(&mut proof, speaker)?;
    privileges::prove(Path::new(initramfs::AGENT), &mut proof).await?;
    hand_on(&mut proof, speaker)?;
    drop_reasons::prove(&mut proof)?;
    hand_on(&mut proof, speaker)?;
    call_cost::prove(&mut proof).await?;
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
