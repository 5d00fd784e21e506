//! The checks of new cgroups, which every signal's subject tells, of the first program in one, and of their removal.

use std::fs;

use anyhow::{Context as _, ensure};
use inquest_proto::v1::{self, signal::Body};

use super::{
    actor::{self, Actor, DONE},
    check::{Check, Deed, Place, cgroup_of},
};

/// The cgroup that lives only as long as one process.
const BRIEF: &str = "brief";
/// Whose acts are done in it.
const CHECK_OF_EXITS: &str = "process_exit";
const CHECK_OF_EXECUTIONS: &str = "process_exec";

pub(super) const CHECK: Check = Check {
    name: "cgroup_name",
    probe: Some("cgroup_mkdir"),
    expects: "the path of a cgroup that was gone before anyone could look it up",
    place: Place::CGROUP,
    act: live_and_die_in_a_brief_cgroup,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::ProcessExit(exit)) => {
            exit.code == u32::from(DONE) && is_brief_cgroup(signal, deed)
        }
        _ => false,
    },
};

pub(super) const START: Check = Check {
    name: "container_start",
    probe: Some("sched_process_exec"),
    expects: "the first program in a new cgroup",
    place: Place::CGROUP,
    act: start_a_program_in_a_brief_cgroup,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::ContainerStart(start)) => {
            start.filename == deed.fact("program") && is_brief_cgroup(signal, deed)
        }
        _ => false,
    },
};

pub(super) const REMOVAL: Check = Check {
    name: "cgroup_removed",
    probe: Some("cgroup_rmdir"),
    expects: "that a cgroup was removed, and how long it was there",
    place: Place::CGROUP,
    act: live_and_die_in_a_brief_cgroup,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::CgroupRemoved(removed)) => {
            removed.lifetime_ns > 0 && is_brief_cgroup(signal, deed)
        }
        _ => false,
    },
};

fn is_brief_cgroup(signal: &v1::Signal, deed: &Deed) -> bool {
    let path = cgroup_of(signal).map(|cgroup| cgroup.path.as_str());
    path == Some(&format!("{}/{BRIEF}", deed.cgroup))
}

/// Bulk records are read some times a second; this takes milliseconds.
fn live_and_die_in_a_brief_cgroup(actor: &Actor) -> anyhow::Result<()> {
    in_a_brief_cgroup(actor, CHECK_OF_EXITS, i32::from(DONE))
}

fn start_a_program_in_a_brief_cgroup(actor: &Actor) -> anyhow::Result<()> {
    in_a_brief_cgroup(actor, CHECK_OF_EXECUTIONS, 0)
}

/// Has the act of another check done in a cgroup that is made for it and removed at once after it.
fn in_a_brief_cgroup(actor: &Actor, act: &str, expected_code: i32) -> anyhow::Result<()> {
    let dirs: Vec<_> = actor
        .cgroup_dirs()
        .iter()
        .map(|dir| dir.join(BRIEF))
        .collect();
    for dir in &dirs {
        fs::create_dir(dir).with_context(|| format!("failed to make cgroup {}", dir.display()))?;
    }
    let status = actor::extra(act, &dirs)?.status();
    for dir in &dirs {
        fs::remove_dir(dir)
            .with_context(|| format!("failed to remove cgroup {}", dir.display()))?;
    }
    let status = status.context("failed to start a process")?;
    ensure!(
        status.code() == Some(expected_code),
        "the process in it ended with {status}"
    );
    Ok(())
}
