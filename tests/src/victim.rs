//! Processes that are made to die: each is this binary again, put into its cgroup before it does
//! anything, waiting for the word before it acts. Must not outlive the harness.

pub mod act;
mod death;
mod descendant;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

pub use act::{Act, Done, Load, Work};
pub use death::{Death, Ended};
pub use descendant::Descendant;

use crate::namespaces::Namespaces;
use crate::readable;
use crate::scratch::Scratch;

/// What a victim prints when it is set up and waits for the word.
pub(crate) const READY: &str = "ready";
/// Longest wait for a victim to be set up; generous, since hundreds may start at once.
const READY_DEADLINE: Duration = Duration::from_mins(1);
/// Longest wait for a victim's death.
const DEATH_DEADLINE: Duration = Duration::from_mins(1);

/// Starts victims from the binary that has the `victim` subcommand.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
}

impl Launcher {
    /// Starts them from the running binary.
    pub fn own() -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("failed to find the running binary")?;
        Ok(Self { program })
    }

    /// Starts them from another build of it.
    pub fn from_program(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
        }
    }

    /// Starts a victim named `comm` inside `cgroup` and waits until it is set up.
    pub async fn launch(&self, cgroup: &Scratch, comm: &str, act: Act) -> anyhow::Result<Victim> {
        self.launch_in(&Namespaces::default(), cgroup, comm, act)
            .await
    }

    /// The same, inside private namespaces.
    pub async fn launch_in(
        &self,
        namespaces: &Namespaces,
        cgroup: &Scratch,
        comm: &str,
        act: Act,
    ) -> anyhow::Result<Victim> {
        let mut command = Command::new(&self.program);
        command
            .arg("victim")
            .arg("--comm")
            .arg(comm)
            .args(act.to_args());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.kill_on_drop(true);
        enter(&mut command, cgroup)?;
        namespaces.enter(command.as_std_mut())?;
        let child = command
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        let mut victim = Victim::adopt(child)?;
        let line = tokio::time::timeout(READY_DEADLINE, victim.next_line())
            .await
            .with_context(|| format!("victim `{comm}` was not ready in time"))??;
        anyhow::ensure!(line == READY, "victim `{comm}` said `{line}`");
        Ok(victim)
    }
}

/// Makes the child of `command` join `cgroup` between fork and exec, so that all it ever uses is
/// charged there.
pub(crate) fn enter(command: &mut Command, cgroup: &Scratch) -> anyhow::Result<()> {
    for path in cgroup.procs_files() {
        let procs = std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .with_context(|| format!("failed to open {}", path.display()))?;
        let join = move || {
            // "0" is the process that writes.
            rustix::io::write(&procs, b"0")?;
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes one write(2) on a descriptor that is open
        // already; it allocates nothing and takes no lock.
        unsafe { command.pre_exec(join) };
    }
    Ok(())
}

/// A child of the harness in a scratch cgroup. Dropping it kills it.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    pid: u32,
    pidfd: AsyncFd<OwnedFd>,
    gate: Option<ChildStdin>,
    says: Lines<BufReader<ChildStdout>>,
}

impl Victim {
    fn adopt(mut child: Child) -> anyhow::Result<Self> {
        let pid = child.id().context("the victim ended at once")?;
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = pidfd_open(raw.context("no such pid")?, PidfdFlags::NONBLOCK)
            .context("failed to open the victim's pidfd")?;
        let gate = child.stdin.take();
        let stdout = child.stdout.take().context("the victim has no stdout")?;
        Ok(Self {
            child,
            pid,
            pidfd: readable::watch(pidfd)?,
            gate,
            says: BufReader::new(stdout).lines(),
        })
    }

    /// Its pid here.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it act.
    pub async fn release(&mut self) -> anyhow::Result<()> {
        let gate = self.gate.as_mut().context("the victim was let go before")?;
        gate.write_all(b"\n")
            .await
            .context("failed to let the victim act")
    }

    /// Closes its stdin: one that only waits ends with code 0.
    pub fn let_go(&mut self) {
        drop(self.gate.take());
    }

    /// The next line it prints.
    pub async fn next_line(&mut self) -> anyhow::Result<String> {
        let line = self.says.next_line().await?;
        line.context("the victim ended without a word")
    }

    /// Waits until it says that its call failed with this errno: the moment.
    pub async fn failed_with(&mut self, errno: i32) -> anyhow::Result<Instant> {
        self.says(&format!("os error {errno}")).await
    }

    /// Waits until it says this; what it says instead means that nothing can be proven.
    pub async fn says(&mut self, expected: &str) -> anyhow::Result<Instant> {
        let line = tokio::time::timeout(DEATH_DEADLINE, self.next_line())
            .await
            .with_context(|| format!("victim {} never said `{expected}`", self.pid))??;
        anyhow::ensure!(
            line.contains(expected),
            "victim {} said `{line}`, not `{expected}`: nothing can be proven",
            self.pid
        );
        Ok(Instant::now())
    }

    /// Waits for its death: the moment its pidfd turned readable, and how it ended, by wait.
    pub async fn death(&mut self) -> anyhow::Result<Death> {
        let pid = self.pid;
        let readable = tokio::time::timeout(DEATH_DEADLINE, self.pidfd.readable())
            .await
            .with_context(|| format!("victim {pid} is still alive"))?;
        drop(readable?);
        let death = Death::now(pid);
        let status = self.child.wait().await.context("failed to reap a victim")?;
        Ok(death.ended(status))
    }
}
