//! The process that makes something happen: this binary again, started by the self-test, so that it can die
//! and be limited in place of the agent. Says what it does on standard output, one JSON value a line.

use std::{
    fmt::Display,
    fs,
    io::{self, Write as _},
    os::unix::{fs::MetadataExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use rustix::{
    process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit},
    thread::UnshareFlags,
};
use serde::{Deserialize, Serialize};

use super::{CHECKS, check::NotPossible, link, scratch};

/// The hidden subcommand.
pub(super) const SUBCOMMAND: &str = "self-test-actor";
/// The exit code of an actor that has done its part and lives; told from each other end.
pub(super) const DONE: u8 = 7;
/// The exit code of an actor that could not do its part; it has said why.
const NOT_DONE: u8 = 70;
/// Where a process finds its network namespace.
const NETNS: &str = "/proc/self/ns/net";
/// The device of each network namespace; down in a new one.
const LOOPBACK: &str = "lo";

/// The hidden command line of an actor.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Whose act.
    check: String,
    /// Cgroups to join first, one in each hierarchy.
    #[arg(long)]
    join: Vec<PathBuf>,
    /// Work in a new network namespace.
    #[arg(long)]
    network: bool,
    /// Work as process 1 of a new pid namespace.
    #[arg(long)]
    init: bool,
    /// Be a part of another actor's act, of which nothing is said.
    #[arg(long)]
    extra: bool,
}

/// A line of what an actor says.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// Who acts, and where.
    Acts { pid: u32, netns: u64 },
    /// Something about the act that only the actor knows.
    Fact { name: String, value: String },
    /// This machine does not allow it.
    NotPossible(String),
    /// It went wrong.
    Failed(String),
}

/// What an act may ask of the process that it runs in.
pub(super) struct Actor {
    cgroup_dirs: Vec<PathBuf>,
}

/// Acts, and tells how that ended by its exit code.
pub fn run(args: &Args) -> ExitCode {
    let outcome = if args.init {
        be_init(args)
    } else {
        act(args).map(|()| DONE)
    };
    let error = match outcome {
        Ok(code) => return ExitCode::from(code),
        Err(error) => error,
    };
    let said = match error.downcast_ref::<NotPossible>() {
        Some(why) => Said::NotPossible(why.to_string()),
        None => Said::Failed(format!("{error:#}")),
    };
    // With nobody left to tell, the exit code remains.
    drop(say(&said));
    ExitCode::from(NOT_DONE)
}

fn act(args: &Args) -> anyhow::Result<()> {
    settle(args)?;
    let check = CHECKS.iter().find(|check| check.name == args.check);
    let check = check.with_context(|| format!("there is no check `{}`", args.check))?;
    if !args.extra {
        say_who_acts(std::process::id())?;
    }
    (check.act)(&Actor {
        cgroup_dirs: args.join.clone(),
    })
}

/// Starts the actor proper as process 1 of a new pid namespace; ends as it ends.
fn be_init(args: &Args) -> anyhow::Result<u8> {
    settle(args)?;
    // SAFETY: only children are born into another pid namespace; what this process shares stays shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) }
        .map_err(|error| NotPossible(format!("no pid namespace can be made: {error}")))?;
    // In its cgroup and network namespace it is born.
    let mut init = command(&args.check, &[])?
        .arg("--extra")
        .spawn()
        .context("failed to start the process 1 of a pid namespace")?;
    say_who_acts(init.id())?;
    let status = init.wait().context("failed to wait for process 1")?;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(code.try_into().unwrap_or(NOT_DONE)),
        // It was the act's purpose: for this process, everything went well.
        (None, Some(_)) => Ok(DONE),
        (None, None) => bail!("process 1 ended with {status}"),
    }
}

/// Goes where it is to act.
fn settle(args: &Args) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .context("failed to bind its life to the self-test's")?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).context("failed to forbid core dumps")?;
    for dir in &args.join {
        scratch::join(dir)?;
    }
    if args.network {
        enter_new_network()?;
    }
    Ok(())
}

fn enter_new_network() -> anyhow::Result<()> {
    // SAFETY: a new network namespace leaves memory and descriptors shared as they are.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .map_err(|error| NotPossible(format!("no network namespace can be made: {error}")))?;
    link::bring_up(LOOPBACK).context("failed to bring the loopback device up")
}

impl Actor {
    /// The cgroup that it is in, in each hierarchy that it joined.
    pub(super) fn cgroup_dirs(&self) -> &[PathBuf] {
        &self.cgroup_dirs
    }
}

/// Tells the self-test something about the act that a signal will be held against.
pub(super) fn tell(name: &str, value: impl Display) -> anyhow::Result<()> {
    say(&Said::Fact {
        name: name.to_owned(),
        value: value.to_string(),
    })
}

/// Another process for an act, which does what check `name` does, in the cgroups at `dirs`.
pub(super) fn extra(name: &str, dirs: &[PathBuf]) -> anyhow::Result<Command> {
    let mut command = command(name, dirs)?;
    command.arg("--extra").stdin(std::process::Stdio::null());
    Ok(command)
}

/// The path of the binary that runs.
pub(super) fn own_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("failed to find the running binary")
}

/// An actor of check `name` that joins the cgroups at `join`.
pub(super) fn command(name: &str, join: &[PathBuf]) -> anyhow::Result<Command> {
    let mut command = Command::new(own_program()?);
    command.arg(SUBCOMMAND).arg(name);
    for dir in join {
        command.arg("--join").arg(dir);
    }
    Ok(command)
}

fn say_who_acts(pid: u32) -> anyhow::Result<()> {
    let netns = fs::metadata(Path::new(NETNS)).context("failed to read its network namespace")?;
    say(&Said::Acts {
        pid,
        netns: netns.ino(),
    })
}

fn say(said: &Said) -> anyhow::Result<()> {
    let line = serde_json::to_string(said).context("failed to write a line")? + "\n";
    // In one piece: the next step may end this process.
    io::stdout()
        .write_all(line.as_bytes())
        .context("nobody listens any more")
}
