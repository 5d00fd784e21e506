//! Work that is done many times over: as fast as it goes, to learn what one of it costs, or at a
//! rate, to provoke that many records. Must know itself how often it has done it.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::time::Instant;

use super::word;

/// The work is timed in so many parts: the median part is not the one that something disturbed.
const PARTS: u64 = 20;
/// Between two bursts of work the process looks whether it is let go.
const BURST: Duration = Duration::from_millis(2);
/// 127.0.0.0, and how many addresses there are behind it.
const LOOPBACK_BASE: u32 = 0x7f00_0000;
const LOOPBACK_MASK: u32 = 0x00ff_ffff;
/// tcpmux, which nobody serves any more.
const CLOSED_PORT: u16 = 1;
/// Bytes of a packet.
const PACKET: [u8; 64] = [0; 64];

/// One of it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub enum Work {
    /// A system call that succeeds and does next to nothing: getppid(2).
    Succeed,
    /// A system call that fails at once: close(-1).
    Fail,
    /// A program is started and waited for.
    Exec,
    /// A TCP connection over loopback is made, accepted and closed.
    Connect,
    /// A UDP packet is sent to an address.
    Send,
    /// A file that is not there is opened, each time by another path.
    OpenMissing,
    /// A port at which nobody listens is connected to, each time at another address.
    ConnectElsewhere,
}

/// How much of it.
#[derive(Args, Clone, Debug)]
pub struct Load {
    #[arg(value_enum)]
    pub work: Work,
    /// So often; until it is let go when absent.
    #[arg(long)]
    pub count: Option<u64>,
    /// So much a second; as fast as it goes when absent.
    #[arg(long)]
    pub rate: Option<u64>,
    /// Where packets go.
    #[arg(long)]
    pub to: Option<SocketAddr>,
}

/// What is said at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Done {
    pub count: u64,
    /// CPU time of one, its child's included; the median over the parts.
    pub ns_each: f64,
}

impl Done {
    /// Reads what a load says.
    pub fn parse(line: &str) -> Option<Self> {
        let (count, ns_each) = line.split_once(' ')?;
        Some(Self {
            count: count.parse().ok()?,
            ns_each: ns_each.parse().ok()?,
        })
    }
}

/// Does the work and says what came of it.
pub(super) fn perform(load: &Load) -> anyhow::Result<ExitCode> {
    let mut tool = Tool::ready(load)?;
    if !word::ready()? {
        return Ok(ExitCode::SUCCESS);
    }
    let done = match (load.count, load.rate) {
        (Some(count), None) => at_full_speed(count, &mut tool)?,
        (Some(count), Some(rate)) => at_rate(count, rate, &mut tool)?,
        (None, _) => return endlessly(&mut tool),
    };
    word::say(format_args!("{} {}", done.count, done.ns_each));
    word::until_let_go()?;
    Ok(ExitCode::SUCCESS)
}

fn at_full_speed(count: u64, tool: &mut Tool) -> anyhow::Result<Done> {
    let part = (count / PARTS).max(1);
    let mut costs = Vec::new();
    for _ in 0..PARTS {
        let before = cpu_ns()?;
        for _ in 0..part {
            tool.work_once()?;
        }
        costs.push(cpu_ns()?.saturating_sub(before) as f64 / part as f64);
    }
    let ns_each = crate::proof::median(&costs).context("no part was timed")?;
    Ok(Done {
        count: part * PARTS,
        ns_each,
    })
}

fn at_rate(count: u64, rate: u64, tool: &mut Tool) -> anyhow::Result<Done> {
    let (started, before) = (Instant::now(), cpu_ns()?);
    let mut done = 0;
    while done < count {
        let due = (started.elapsed().as_secs_f64() * rate as f64) as u64;
        while done < due.min(count) {
            tool.work_once()?;
            done += 1;
        }
        if !word::rest(BURST)? {
            break;
        }
    }
    let spent = cpu_ns()?.saturating_sub(before);
    Ok(Done {
        count: done,
        ns_each: spent as f64 / done.max(1) as f64,
    })
}

fn endlessly(tool: &mut Tool) -> anyhow::Result<ExitCode> {
    while word::rest(Duration::ZERO)? {
        let until = Instant::now() + BURST;
        while Instant::now() < until {
            tool.work_once()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the work is done with, made before the word.
enum Tool {
    Succeed,
    Fail,
    Exec,
    Connect(TcpListener, SocketAddr),
    Send(UdpSocket),
    OpenMissing(u64),
    ConnectElsewhere(u32),
}

impl Tool {
    fn ready(load: &Load) -> anyhow::Result<Self> {
        Ok(match load.work {
            Work::Succeed => Self::Succeed,
            Work::Fail => Self::Fail,
            Work::Exec => Self::Exec,
            Work::Connect => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let address = listener.local_addr()?;
                Self::Connect(listener, address)
            }
            Work::Send => {
                let to = load.to.context("packets need an address")?;
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
                socket.connect(to)?;
                Self::Send(socket)
            }
            Work::OpenMissing => Self::OpenMissing(0),
            Work::ConnectElsewhere => Self::ConnectElsewhere(0),
        })
    }

    fn work_once(&mut self) -> anyhow::Result<()> {
        match self {
            // SAFETY: getppid(2) takes nothing and cannot fail.
            Self::Succeed => drop(unsafe { libc::syscall(libc::SYS_getppid) }),
            // SAFETY: -1 is no descriptor, so that nothing is closed.
            Self::Fail => drop(unsafe { libc::syscall(libc::SYS_close, -1) }),
            Self::Exec => {
                let mut command = Command::new("/bin/true");
                command.stdin(Stdio::null()).stdout(Stdio::null());
                command.status().context("failed to run true")?;
            }
            Self::Connect(listener, address) => {
                let connected = TcpStream::connect(*address)?;
                drop((connected, listener.accept()?));
            }
            // That a rule drops it is no matter of the sender's.
            Self::Send(socket) => drop(socket.send(&PACKET)),
            Self::OpenMissing(number) => {
                *number += 1;
                drop(File::open(format!("/inquest-missing/{number}")));
            }
            Self::ConnectElsewhere(number) => {
                // Within 127.0.0.0/8, all of which is this machine.
                *number = (*number + 1) & LOOPBACK_MASK;
                let address = Ipv4Addr::from(LOOPBACK_BASE | *number);
                drop(TcpStream::connect((address, CLOSED_PORT)));
            }
        }
        Ok(())
    }
}

/// CPU time of this process and of the children that it has waited for.
fn cpu_ns() -> anyhow::Result<u64> {
    Ok(usage_us(libc::RUSAGE_SELF)?.saturating_add(usage_us(libc::RUSAGE_CHILDREN)?) * 1_000)
}

fn usage_us(whose: libc::c_int) -> anyhow::Result<u64> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the kernel fills the whole structure, which outlives the call.
    let failed = unsafe { libc::getrusage(whose, usage.as_mut_ptr()) };
    anyhow::ensure!(failed == 0, io::Error::last_os_error());
    // SAFETY: the call succeeded, so it is filled.
    let usage = unsafe { usage.assume_init() };
    let us =
        |time: libc::timeval| time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs();
    Ok(us(usage.ru_utime) + us(usage.ru_stime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_as_often_as_it_says() {
        let done = at_full_speed(2000, &mut Tool::Succeed).unwrap();
        assert_eq!(done.count, 2000);
        let line = format!("{} {}", done.count, done.ns_each);
        assert_eq!(Done::parse(&line), Some(done));
        assert_eq!(Done::parse("2000"), None);
    }
}
