//! The checks of failed system calls: counted, of executions and of forks.

use std::{fs, io, process::Command};

use anyhow::{Context as _, ensure};
use inquest_proto::v1::signal::Body;

use super::{
    actor::{self, Actor},
    check::{Check, Place},
    scratch::Limit,
};

/// Files that are not there.
const MISSING: &str = "/inquest-self-test/missing";
const MISSING_PROGRAM: &str = "/inquest-self-test/missing-program";
/// How often the first is opened: more often than anything else in its cgroup fails.
const ATTEMPTS: u64 = 300;

pub(super) const COUNTED: Check = Check {
    name: "syscall_failures",
    probe: Some("sys_exit"),
    expects: "how often a call failed, and why",
    place: Place::CGROUP,
    act: open_what_is_missing,
    // Whatever else the actor looked for in vain is counted with it, in this window or the next.
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::SyscallFailures(told)) => {
            deed.is_home(signal)
                && told.failures.iter().any(|failure| {
                    failure.syscall == "openat"
                        && failure.errno == "ENOENT"
                        && failure.count >= ATTEMPTS / 2
                })
        }
        _ => false,
    },
};

fn open_what_is_missing(_: &Actor) -> anyhow::Result<()> {
    for _ in 0..ATTEMPTS {
        let opened = fs::File::open(MISSING);
        let missing = opened.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        ensure!(missing, "{MISSING} is there");
    }
    Ok(())
}

/// Not a kind of signal, but a part of `process_exit` that needs a probe of its own.
pub(super) const LAST_WORDS: Check = Check {
    name: "last_words",
    probe: Some("sys_exit"),
    expects: "what an init tried in vain before it ended, in order",
    place: Place {
        init: true,
        ..Place::CGROUP
    },
    act: try_in_vain_and_end,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::ProcessExit(exit)) => {
            let words = exit.last_words.iter();
            let told: Vec<_> = words
                .filter(|call| call.path == MISSING || call.address.is_some())
                .map(|call| {
                    let address = call.address.as_ref();
                    let address = address.map_or("", |address| address.address.as_str());
                    [&call.syscall, &call.errno, &call.path, address]
                })
                .collect();
            deed.is_subject(signal)
                && told
                    == [
                        ["openat", "ENOENT", MISSING, ""],
                        ["connect", "ENOENT", "", MISSING],
                    ]
        }
        _ => false,
    },
};

fn try_in_vain_and_end(_: &Actor) -> anyhow::Result<()> {
    ensure!(fs::File::open(MISSING).is_err(), "{MISSING} is there");
    let connected = std::os::unix::net::UnixStream::connect(MISSING);
    ensure!(connected.is_err(), "{MISSING} answers");
    Ok(())
}

pub(super) const EXEC: Check = Check {
    name: "exec_failure",
    probe: Some("sys_exit"),
    expects: "the program that is missing",
    place: Place::CGROUP,
    act: execute_what_is_missing,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::ExecFailure(failure)) => {
            deed.is_subject(signal)
                && failure.filename == deed.fact("program")
                && failure.errno == "ENOENT"
        }
        _ => false,
    },
};

fn execute_what_is_missing(_: &Actor) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt as _;
    actor::tell("program", MISSING_PROGRAM)?;
    let error = Command::new(MISSING_PROGRAM).exec();
    ensure!(
        error.kind() == io::ErrorKind::NotFound,
        "{MISSING_PROGRAM}: {error}"
    );
    Ok(())
}

pub(super) const FORK: Check = Check {
    name: "pids_limit_hit",
    probe: Some("sys_exit"),
    expects: "whose limit of tasks refused a fork",
    place: Place {
        limits: &[Limit::pids("1")],
        ..Place::CGROUP
    },
    act: fork_once_too_often,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::PidsLimitHit(hit)) => {
            let limiting = hit.limiting.as_ref();
            deed.is_subject(signal)
                && limiting.is_some_and(|cgroup| cgroup.path == deed.cgroup)
                && (hit.max, hit.current) == (1, 1)
                && hit.count >= 1
        }
        _ => false,
    },
};

fn fork_once_too_often(_: &Actor) -> anyhow::Result<()> {
    let program = actor::own_program()?;
    let spawned = Command::new(program).arg("--version").status();
    let refused = spawned.err().context("a second task was allowed")?;
    ensure!(refused.kind() == io::ErrorKind::WouldBlock, "{refused}");
    Ok(())
}
