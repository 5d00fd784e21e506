//! The check of new cgroups, which no signal tells but every signal's subject does.

use std::fs;

use anyhow::{Context as _, ensure};
use inquest_proto::v1::signal::Body;

use super::{
    actor::{self, Actor, DONE},
    check::{Check, Place, cgroup_of},
};

/// The cgroup that lives only as long as one process.
const BRIEF: &str = "brief";

pub(super) const CHECK: Check = Check {
    name: "cgroup_name",
    probe: Some("cgroup_mkdir"),
    expects: "the path of a cgroup that was gone before anyone could look it up",
    place: Place::CGROUP,
    act: live_and_die_in_a_brief_cgroup,
    is_told_by: |signal, deed| {
        let path = cgroup_of(signal).map(|cgroup| cgroup.path.as_str());
        let Some(Body::ProcessExit(exit)) = &signal.body else {
            return false;
        };
        exit.code == u32::from(DONE) && path == Some(&format!("{}/{BRIEF}", deed.cgroup))
    },
};

/// Bulk records are read some times a second; this takes milliseconds.
fn live_and_die_in_a_brief_cgroup(actor: &Actor) -> anyhow::Result<()> {
    let dirs: Vec<_> = actor
        .cgroup_dirs()
        .iter()
        .map(|dir| dir.join(BRIEF))
        .collect();
    for dir in &dirs {
        fs::create_dir(dir).with_context(|| format!("failed to make cgroup {}", dir.display()))?;
    }
    let status = actor::extra("process_exit", &dirs)?.status();
    for dir in &dirs {
        fs::remove_dir(dir)
            .with_context(|| format!("failed to remove cgroup {}", dir.display()))?;
    }
    let status = status.context("failed to start a process")?;
    ensure!(
        status.code() == Some(DONE.into()),
        "the process in it ended with {status}"
    );
    Ok(())
}
