//! What a victim does, as it is told on its command line, and the doing. Must stay one thread and
//! small: it runs inside a tight memory cgroup.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::process::{ExitCode, Stdio};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

use super::READY;
use crate::output;

/// Growth per step: small against the smallest limit.
const STEP_BYTES: usize = 256 << 10;
/// A grower gives up here, so that a limit that does not hold never costs the machine more.
const MAX_GROWN_BYTES: usize = 256 << 20;
/// Exit code of a grower that nothing stopped.
const NOT_STOPPED: u8 = 3;

/// The hidden command line of a victim.
#[derive(Debug, Parser)]
pub struct Args {
    /// Its name, as the kernel keeps it.
    #[arg(long)]
    comm: String,
    #[command(subcommand)]
    act: Act,
}

/// What to do after the word.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Act {
    /// Holds memory and waits to be let go.
    Wait { hold_mib: usize },
    /// Grows until something stops it.
    Grow,
    /// Writes to an address that is never mapped.
    Fault { address: usize },
    /// Calls abort(3).
    Abort,
    /// Ends with a code.
    Exit { code: u8 },
    /// Sends a signal to a process, then waits to be let go.
    Kill { pid: i32, signal: i32 },
    /// Starts `Init` as process 1 of a new pid namespace, and ends with it.
    Container,
    /// Starts a child that grows, outlives it, says how it ended, and waits to be let go.
    Init,
}

impl Act {
    pub(super) fn to_args(self) -> Vec<OsString> {
        let words: Vec<String> = match self {
            Self::Wait { hold_mib } => vec!["wait".into(), hold_mib.to_string()],
            Self::Grow => vec!["grow".into()],
            Self::Fault { address } => vec!["fault".into(), address.to_string()],
            Self::Abort => vec!["abort".into()],
            Self::Exit { code } => vec!["exit".into(), code.to_string()],
            Self::Kill { pid, signal } => vec!["kill".into(), pid.to_string(), signal.to_string()],
            Self::Container => vec!["container".into()],
            Self::Init => vec!["init".into()],
        };
        words.into_iter().map(OsString::from).collect()
    }
}

/// Runs as a victim.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = std::ffi::CString::new(args.comm.clone()).context("a comm has no zero byte")?;
    rustix::thread::set_name(&name).context("failed to set the comm")?;
    leave_no_core()?;
    match args.act {
        Act::Wait { hold_mib } => {
            let held = touched(hold_mib << 20);
            ready_then_word()?;
            until_let_go()?;
            drop(held);
        }
        Act::Grow => {
            if ready_then_word()? {
                grow();
                return Ok(ExitCode::from(NOT_STOPPED));
            }
        }
        Act::Fault { address } => {
            if ready_then_word()? {
                fault(address);
            }
        }
        Act::Abort => {
            if ready_then_word()? {
                std::process::abort();
            }
        }
        Act::Exit { code } => {
            if ready_then_word()? {
                return Ok(ExitCode::from(code));
            }
        }
        Act::Kill { pid, signal } => {
            if ready_then_word()? {
                kill(pid, signal)?;
                until_let_go()?;
            }
        }
        Act::Container => return container(),
        Act::Init => init()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn leave_no_core() -> anyhow::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).context("failed to forbid core dumps")
}

/// Says that it is set up and waits; false when it is let go instead.
fn ready_then_word() -> anyhow::Result<bool> {
    output::line(READY);
    let mut word = [0];
    Ok(io::stdin().read(&mut word)? > 0)
}

fn until_let_go() -> io::Result<()> {
    let mut rest = Vec::new();
    io::stdin().read_to_end(&mut rest)?;
    Ok(())
}

/// Memory of which every page has been written.
fn touched(bytes: usize) -> Vec<u8> {
    std::hint::black_box(vec![1; bytes])
}

fn grow() {
    let mut held = Vec::with_capacity(MAX_GROWN_BYTES / STEP_BYTES);
    while held.len() < held.capacity() {
        held.push(touched(STEP_BYTES));
    }
}

/// Dies by SIGSEGV; `address` must be one that is never mapped, such as those of the first page.
fn fault(address: usize) {
    let nowhere = std::ptr::without_provenance_mut::<u8>(address);
    // SAFETY: not sound, on purpose: nothing is mapped below vm.mmap_min_addr, so the write ends
    // this process, which is all that it is for.
    unsafe { nowhere.write_volatile(1) };
}

fn kill(pid: i32, signal: i32) -> anyhow::Result<()> {
    let pid = Pid::from_raw(pid).context("no such pid")?;
    let signal = Signal::from_named_raw(signal).context("no such signal")?;
    kill_process(pid, signal).context("failed to send the signal")
}

/// Makes the next child process 1 of a namespace of its own.
fn container() -> anyhow::Result<ExitCode> {
    // SAFETY: a new pid namespace for children shares no descriptor table or memory differently.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWPID) }
        .context("failed to make a pid namespace")?;
    let status = victim("app-init", Act::Init)?
        .status()
        .context("failed to start the init")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

fn init() -> anyhow::Result<()> {
    let mut command = victim("app-worker", Act::Grow)?;
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().context("failed to start the worker")?;
    if ready_then_word()? {
        let mut gate = child.stdin.take().context("the worker has no stdin")?;
        io::Write::write_all(&mut gate, b"\n")?;
        let status = child.wait().context("failed to reap the worker")?;
        output::line(status);
        until_let_go()?;
    }
    Ok(())
}

fn victim(comm: &str, act: Act) -> anyhow::Result<std::process::Command> {
    let program = std::env::current_exe().context("failed to find the running binary")?;
    let mut command = std::process::Command::new(program);
    command
        .arg("victim")
        .arg("--comm")
        .arg(comm)
        .args(act.to_args());
    Ok(command)
}
