//! Runs one guest under QEMU and hears it out: what it says, how long it took, and what its console showed if it
//! did not come to its end.

use std::path::Path;
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
const DEADLINE: Duration = Duration::from_mins(10);
/// Lines of the console that are shown of a guest that did not come to its end.
const CONSOLE_LINES: usize = 40;
/// Small, so that all of the memory is soon used up, and enough to load the probes.
const MEMORY: &str = "768";
/// Emulated in software: nested virtualization is not to be had everywhere. `max` does not boot 6.12 under QEMU
/// 7.2; this oldest model boots them all.
const CPU: &str = "qemu64";

/// How a guest's life went.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) said: Said,
    pub(super) took_s: f64,
    /// Why it did not come to its end, for people, with the end of its console.
    pub(super) trouble: Option<String>,
}

/// Boots `kernel` with `archive` as its file system, and waits until it has powered off. Its console goes to the
/// file `console`.
pub(super) async fn boot(kernel: &Path, archive: &Path, console: &Path) -> Ended {
    let began = Instant::now();
    let mut said = Said::default();
    let outcome = match timeout(DEADLINE, live(kernel, archive, console, &mut said)).await {
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
        trouble: trouble.map(|why| format!("{why}\n{}", tail(console))),
        said,
    }
}

async fn live(
    kernel: &Path,
    archive: &Path,
    console: &Path,
    said: &mut Said,
) -> anyhow::Result<()> {
    let mut emulator = start(kernel, archive, console)?;
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

fn start(kernel: &Path, archive: &Path, console: &Path) -> anyhow::Result<Child> {
    // A panic reboots at once, which ends the emulator.
    let boot = format!("console=ttyS0 loglevel=3 panic=-1 rdinit={HARNESS} -- guest");
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
        .arg(format!("file:{}", console.display()))
        .args(["-serial", "stdio"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(archive)
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
