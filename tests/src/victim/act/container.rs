//! A container in small: a pid namespace with an init and a worker. Must end with its init.

use std::io;
use std::process::{ExitCode, Stdio};

use anyhow::Context as _;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{Act, victim, word};

/// Makes the next child process 1 of a namespace of its own, and waits for it.
pub(super) fn container() -> anyhow::Result<ExitCode> {
    // SAFETY: a new pid namespace for children shares no descriptor table or memory differently.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.context("failed to make a pid namespace")?;
    let status = victim("app-init", &Act::Init)?
        .status()
        .context("failed to start the init")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Starts a worker that grows, and outlives it.
pub(super) fn init() -> anyhow::Result<ExitCode> {
    let mut command = victim("app-worker", &Act::Grow)?;
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().context("failed to start the worker")?;
    if word::ready()? {
        let mut gate = child.stdin.take().context("the worker has no stdin")?;
        io::Write::write_all(&mut gate, b"\n")?;
        word::say(child.wait().context("failed to reap the worker")?);
        word::until_let_go()?;
    }
    Ok(ExitCode::SUCCESS)
}
