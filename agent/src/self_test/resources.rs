//! The check of what cgroups use.

use anyhow::Context as _;
use inquest_proto::v1::signal::Body;
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use super::{
    check::{Check, Place},
    scratch::Limit,
};

/// The cgroup's limit of tasks, all of which are used.
const MAX_TASKS: u64 = 8;
/// How long they are: a round over all cgroups, and time to look at each of them.
const KEPT: Timespec = Timespec {
    tv_sec: 12,
    tv_nsec: 0,
};

pub(super) const CHECK: Check = Check {
    name: "resource_usage",
    probe: Some("cgroup_samples"),
    expects: "a cgroup that is at its limit of tasks",
    place: Place {
        limits: &[Limit::pids("8")],
        ..Place::CGROUP
    },
    act: |_| {
        for _ in 1..MAX_TASKS {
            std::thread::Builder::new()
                .spawn(|| nanosleep(&KEPT))
                .context("failed to start a thread below the limit")?;
        }
        match nanosleep(&KEPT) {
            NanosleepRelativeResult::Err(error) => Err(error).context("failed to wait"),
            _ => Ok(()),
        }
    },
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::ResourceUsage(usage)) => {
            deed.is_home(signal)
                && usage.pids == Some(MAX_TASKS)
                && usage.pids_max == Some(MAX_TASKS)
        }
        _ => false,
    },
};
