//! What a victim does, as it is told on its command line. Must stay small: it runs inside a tight
//! memory cgroup, most of it in one thread.

mod container;
mod dns;
mod files;
mod load;
mod memory;
mod network;
mod tasks;
mod word;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum as _};
pub use load::{Done, Load, Work};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

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
#[derive(Clone, Debug, Subcommand)]
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
    /// Reads its configuration, says what failed, and ends with code 1 when it cannot.
    ReadConfig { path: PathBuf },
    /// Becomes another program; says what failed, and ends with code 126, when it cannot.
    Become { program: PathBuf },
    /// Writes a file until the disk is full, says what failed, and ends with code 1.
    Fill { dir: PathBuf },
    /// Starts children until it may not, says what failed, and goes on trying until let go.
    Fork,
    /// Threads take turns under one lock and sleep while they hold it, until let go.
    QueueForLock { threads: usize },
    /// Connects again and again and says what came of each attempt, until let go.
    Connect { to: SocketAddr },
    /// Listens and accepts whoever connects, until let go.
    Accept { at: SocketAddr },
    /// Listens and accepts nobody, until let go.
    AcceptNobody { at: SocketAddr, backlog: i32 },
    /// Looks up a name again and again and says what came of each attempt, until let go.
    LookUp { name: String },
    /// Answers DNS queries with a response code, or not at all, until let go.
    AnswerDns { at: SocketAddr, rcode: Option<u8> },
    /// Does a piece of work many times, says how often and what one cost, and waits to be let go.
    Load(Load),
}

impl Act {
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let mut args = vec![OsString::from(self.name())];
        match self {
            Self::Wait { hold_mib } => args.push(hold_mib.to_string().into()),
            Self::Fault { address } => args.push(address.to_string().into()),
            Self::Exit { code } => args.push(code.to_string().into()),
            Self::Kill { pid, signal } => {
                args.extend([pid.to_string().into(), signal.to_string().into()]);
            }
            Self::ReadConfig { path: file }
            | Self::Become { program: file }
            | Self::Fill { dir: file } => args.push(file.into()),
            Self::QueueForLock { threads } => args.push(threads.to_string().into()),
            Self::Connect { to: address } | Self::Accept { at: address } => {
                args.push(address.to_string().into());
            }
            Self::AcceptNobody { at, backlog } => {
                args.extend([at.to_string().into(), backlog.to_string().into()]);
            }
            Self::LookUp { name } => args.push(name.into()),
            Self::AnswerDns { at, rcode } => {
                args.push(at.to_string().into());
                args.extend(rcode.map(|rcode| rcode.to_string().into()));
            }
            Self::Load(load) => {
                let work = load.work.to_possible_value();
                args.extend(work.map(|work| work.get_name().into()));
                args.extend(load.count.map(|count| format!("--count={count}").into()));
                args.extend(load.rate.map(|rate| format!("--rate={rate}").into()));
                args.extend(load.to.map(|to| format!("--to={to}").into()));
            }
            Self::Grow | Self::Abort | Self::Container | Self::Init | Self::Fork => {}
        }
        args
    }

    /// Its subcommand.
    fn name(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "wait",
            Self::Grow => "grow",
            Self::Fault { .. } => "fault",
            Self::Abort => "abort",
            Self::Exit { .. } => "exit",
            Self::Kill { .. } => "kill",
            Self::Container => "container",
            Self::Init => "init",
            Self::ReadConfig { .. } => "read-config",
            Self::Become { .. } => "become",
            Self::Fill { .. } => "fill",
            Self::Fork => "fork",
            Self::QueueForLock { .. } => "queue-for-lock",
            Self::Connect { .. } => "connect",
            Self::Accept { .. } => "accept",
            Self::AcceptNobody { .. } => "accept-nobody",
            Self::LookUp { .. } => "look-up",
            Self::AnswerDns { .. } => "answer-dns",
            Self::Load(_) => "load",
        }
    }

    /// Does it; what needs setting up is set up before the word.
    fn perform(&self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Wait { hold_mib } => memory::hold(*hold_mib),
            Self::Grow => memory::grow(),
            Self::Fault { address } => memory::fault(*address),
            Self::Abort => abort(),
            Self::Exit { code } => exit(*code),
            Self::Kill { pid, signal } => kill(*pid, *signal),
            Self::Container => container::container(),
            Self::Init => container::init(),
            Self::ReadConfig { path } => files::read_config(path),
            Self::Become { program } => files::r#become(program),
            Self::Fill { dir } => files::fill(dir),
            Self::Fork => tasks::fork(),
            Self::QueueForLock { threads } => tasks::queue_for_lock(*threads),
            Self::Connect { to } => network::connect(*to),
            Self::Accept { at } => network::accept(*at),
            Self::AcceptNobody { at, backlog } => network::accept_nobody(*at, *backlog),
            Self::LookUp { name } => dns::look_up(name),
            Self::AnswerDns { at, rcode } => dns::answer(*at, *rcode),
            Self::Load(load) => load::perform(load),
        }
    }
}

/// Runs as a victim.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let name = std::ffi::CString::new(args.comm.clone()).context("a comm has no zero byte")?;
    rustix::thread::set_name(&name).context("failed to set the comm")?;
    leave_no_core()?;
    args.act.perform()
}

fn leave_no_core() -> anyhow::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).context("failed to forbid core dumps")
}

fn abort() -> anyhow::Result<ExitCode> {
    if word::ready()? {
        std::process::abort();
    }
    Ok(ExitCode::SUCCESS)
}

fn exit(code: u8) -> anyhow::Result<ExitCode> {
    let told = word::ready()?;
    Ok(ExitCode::from(if told { code } else { 0 }))
}

fn kill(pid: i32, signal: i32) -> anyhow::Result<ExitCode> {
    if word::ready()? {
        let pid = Pid::from_raw(pid).context("no such pid")?;
        let signal = Signal::from_named_raw(signal).context("no such signal")?;
        kill_process(pid, signal).context("failed to send the signal")?;
        word::until_let_go()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A command that runs this binary as another victim.
fn victim(comm: &str, act: &Act) -> anyhow::Result<std::process::Command> {
    let program = std::env::current_exe().context("failed to find the running binary")?;
    let mut command = std::process::Command::new(program);
    command
        .arg("victim")
        .arg("--comm")
        .arg(comm)
        .args(act.to_args());
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_survives_its_command_line() {
        let at = SocketAddr::from(([10, 87, 0, 1], 53));
        for act in [
            Act::Wait { hold_mib: 3 },
            Act::Grow,
            Act::Fault { address: 16 },
            Act::Abort,
            Act::Exit { code: 7 },
            Act::Kill { pid: 4, signal: 9 },
            Act::Container,
            Act::Init,
            Act::ReadConfig { path: "/x".into() },
            Act::Become {
                program: "/x".into(),
            },
            Act::Fill { dir: "/x".into() },
            Act::Fork,
            Act::QueueForLock { threads: 8 },
            Act::Connect { to: at },
            Act::Accept { at },
            Act::AcceptNobody { at, backlog: 1 },
            Act::LookUp { name: "db".into() },
            Act::AnswerDns { at, rcode: Some(3) },
            Act::AnswerDns { at, rcode: None },
            Act::Load(Load {
                work: Work::Send,
                count: Some(5),
                rate: Some(1),
                to: Some(at),
            }),
        ] {
            let line = ["victim", "--comm", "x"].map(OsString::from);
            let args = Args::try_parse_from(line.into_iter().chain(act.to_args())).unwrap();
            assert_eq!(format!("{:?}", args.act), format!("{act:?}"));
        }
    }
}
