//! Builds the release binaries, and hands a command over to the harness binary.
//!
//! Knows no harness: which demos, benches and tests there are is the harness's own matter.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::build_ebpf::{self, Options};
use crate::command::{self, Show};
use crate::workspace::{self, RELEASE_PACKAGES};

/// Builds the kernel programs, then the release binaries around them.
pub(crate) fn build_all(may_install: bool) -> anyhow::Result<()> {
    build_ebpf::build(Options {
        log: false,
        may_install,
    })?;
    build_binaries()
}

/// Builds the release binaries with the kernel programs that are there.
pub(crate) fn build_binaries() -> anyhow::Result<()> {
    let mut cargo = command::cargo();
    cargo.args(["build", "--release"]);
    for package in RELEASE_PACKAGES {
        cargo.args(["--package", package]);
    }
    command::run(
        "building the release binaries",
        &mut cargo,
        Show::OutputWhenLong,
    )?;
    Ok(())
}

/// Becomes the harness binary; returns only if that fails.
pub(crate) fn become_harness(subcommand: &str, args: &[String]) -> anyhow::Error {
    let program = workspace::release_binary("inquest-e2e");
    let error = Command::new(&program).arg(subcommand).args(args).exec();
    anyhow::Error::new(error).context(format!("failed to run {}", program.display()))
}

/// Builds what a harness needs and becomes it.
pub(crate) fn run_harness(subcommand: &str, args: &[String]) -> anyhow::Result<()> {
    build_all(true).with_context(|| format!("failed to build what `{subcommand}` needs"))?;
    Err(become_harness(subcommand, args))
}
