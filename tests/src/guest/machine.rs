//! Runs one guest under QEMU and hears it out: what it says, how long it took, and what its console showed if it
//! did not come to its end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use super::initramfs::HARNESS;
use super::wire::Said;

const EMULATOR: &str = "qemu-system-x86_64";
/// Longest life of a guest, many times what one takes: only a hang lasts longer.
const DEADLINE: Duration = Duration::from_mins(20);
/// Lines of the console that are shown of a guest that did not come to its end.
const CONSOLE_LINES: usize = 40;
/// Small, so that all of the memory is soon used up, and enough to load the probes.
const MEMORY: &str = "768";
/// Emulated in software: nested virtualization is not to be had everywhere. `max` does not boot 6.12 under QEMU
/// 7.2; this oldest model boots them all.
const CPU: &str = "qemu64";

/// What a guest is made of.
#[derive(Debug)]
pub(super) struct Files {
    kernel: PathBuf,
    pub(super) modules: PathBuf,
    /// Its file system; to be written.
    pub(super) archive: PathBuf,
    console: PathBuf,
}

impl Files {
    /// Names those of guest `name`: the kernel in the folder `kernel`, the rest in the folder `scratch`.
    pub(super) fn prepare(kernel: &Path, scratch: &Path, name: &str) -> anyhow::Result<Self> {
        let image = kernel.join("vmlinuz");
        anyhow::ensure!(image.is_file(), "there is no {}", image.display());
        Ok(Self {
            kernel: image,
            modules: kernel.join("modules"),
            archive: scratch.join(format!("{name}.initramfs")),
            console: scratch.join(format!("{name}.console")),
        })
    }
}

/// How a guest's life went.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) said: Said,
    pub(super) took_s: f64,
    /// Why it did not come to its end, for people, with the end of its console.
    pub(super) trouble: Option<String>,
}

/// Boots a guest and waits until it has powered off.
pub(super) async fn boot(files: &Files) -> Ended {
    let began = Instant::now();
    let mut said = Said::default();
    let outcome = match timeout(DEADLINE, live(files, &mut said)).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(anyhow::anyhow!("it did not end within {DEADLINE:?}")),
    };
    let trouble = match (outcome, &said) {
        (Err(error), _) => Some(format!("{error:#}")),
        (
            Ok(()),
            Said {
                failure: Some(why), ..
            },
        ) => Some(why.clone()),
        (Ok(()), Said { ended: false, .. }) => Some("it went down before its end".to_owned()),
        (Ok(()), _) => None,
    };
    Ended {
        took_s: began.elapsed().as_secs_f64(),
        trouble: trouble.map(|why| format!("{why}\n{}", tail(&files.console))),
        said,
    }
}

async fn live(files: &Files, said: &mut Said) -> anyhow::Result<()> {
    let mut emulator = start(files)?;
    let line = emulator
        .stdout
        .take()
        .context("the emulator has no output")?;
    let mut lines = BufReader::new(line).lines();
    while let Some(line) = lines.next_line().await.context("failed to hear a guest")? {
        said.take(&line)?;
    }
    let status = emulator
        .wait()
        .await
        .context("failed to wait for the emulator")?;
    anyhow::ensure!(status.success(), "the emulator ended with {status}");
    Ok(())
}

fn start(files: &Files) -> anyhow::Result<Child> {
    // A panic reboots at once, which ends the emulator. Whether the timer ticks is not asked: on a busy machine it may not for
    // long enough to be taken for broken.
    let boot =
        format!("console=ttyS0 loglevel=3 panic=-1 no_timer_check rdinit={HARNESS} -- guest");
    let mut command = Command::new(EMULATOR);
    command
        .args([
            "-machine",
            "pc,accel=tcg",
            "-cpu",
            CPU,
            "-smp",
            "1",
            "-m",
            MEMORY,
        ])
        .args([
            "-display",
            "none",
            "-monitor",
            "none",
            "-nic",
            "none",
            "-no-reboot",
        ])
        .arg("-serial")
        .arg(format!("file:{}", files.console.display()))
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(&files.kernel)
        .arg("-initrd")
        .arg(&files.archive)
        .args(["-append", &boot])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
        .spawn()
        .with_context(|| format!("failed to start {EMULATOR}"))
}

/// The end of what a console showed.
fn tail(console: &Path) -> String {
    let text = std::fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let first = lines.len().saturating_sub(CONSOLE_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}
