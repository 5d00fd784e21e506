//! The check of ends of the node's daemons.

use std::{fs, os::unix::fs::symlink, process::Command};

use anyhow::{Context as _, ensure};
use inquest_proto::v1::{daemon_exit::Role, signal::Body};

use super::{
    actor::{own_program, tell},
    check::{Check, Place},
};

/// What this program ends with when it is asked for what it does not know.
const USAGE: i32 = 64;

pub(super) const CHECK: Check = Check {
    name: "daemon_exit",
    probe: Some("sched_process_exit"),
    expects: "the end of a process that runs a file named kubelet",
    place: Place::CGROUP,
    act: |_| {
        let dir = std::env::temp_dir().join(format!("inquest-self-test-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
        let played = own_program().and_then(|program| {
            let kubelet = dir.join("kubelet");
            symlink(program, &kubelet).context("failed to make a link")?;
            let mut child = Command::new(kubelet)
                .arg("--no-such-option")
                .stderr(std::process::Stdio::null())
                .spawn()
                .context("failed to start a process")?;
            tell("kubelet", child.id())?;
            let status = child.wait().context("failed to wait for a process")?;
            ensure!(status.code() == Some(USAGE), "it ended with {status}");
            Ok(())
        });
        fs::remove_dir_all(&dir).with_context(|| format!("failed to remove {}", dir.display()))?;
        played
    },
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::DaemonExit(exit)) => {
            let subject = signal.subject.as_ref();
            let process = subject.and_then(|subject| subject.process.as_ref());
            let is_told =
                process.is_some_and(|process| process.pid.to_string() == deed.fact("kubelet"));
            deed.is_home(signal)
                && is_told
                && exit.role() == Role::Kubelet
                && exit.code == USAGE.cast_unsigned()
                && exit.signal == 0
        }
        _ => false,
    },
};
