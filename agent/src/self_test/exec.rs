//! The check of executions.

use std::os::unix::process::CommandExt as _;

use anyhow::Context as _;
use inquest_proto::v1::signal::Body;

use super::{
    actor::{self, Actor},
    check::{Check, Place},
};

pub(super) const CHECK: Check = Check {
    name: "process_exec",
    probe: Some("sched_process_exec"),
    expects: "the program that the process became",
    place: Place::CGROUP,
    act: become_another_program,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::ProcessExec(exec)) => {
            deed.is_subject(signal) && exec.filename == deed.fact("program")
        }
        _ => false,
    },
};

/// The agent's binary is the one program that is there for certain, in whatever image.
fn become_another_program(_: &Actor) -> anyhow::Result<()> {
    let program = actor::own_program()?;
    actor::tell("program", program.display())?;
    let mut command = std::process::Command::new(&program);
    // Whoever listens to this actor must not hear the version.
    command.arg("--version").stdout(std::process::Stdio::null());
    let error = command.exec();
    Err(error).with_context(|| format!("failed to execute {}", program.display()))
}
