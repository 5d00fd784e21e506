//! A process that a victim started: the harness is not its parent, so it sees the death, and the
//! victim tells how it ended.

use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep};

use super::{DEATH_DEADLINE, Death};
use crate::readable;
use crate::scratch::Scratch;

/// Longest wait for it to appear.
const APPEAR_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A process in a scratch cgroup, known by its comm.
#[derive(Debug)]
pub struct Descendant {
    pid: u32,
    pidfd: AsyncFd<OwnedFd>,
}

impl Descendant {
    /// Waits until a process of that name is in the cgroup.
    pub async fn find(cgroup: &Scratch, comm: &str) -> anyhow::Result<Self> {
        let deadline = Instant::now() + APPEAR_DEADLINE;
        loop {
            for pid in cgroup.processes()? {
                if has_comm(pid, comm) {
                    return Self::watch(pid);
                }
            }
            anyhow::ensure!(Instant::now() < deadline, "no process `{comm}` appeared");
            sleep(LOOK_AGAIN).await;
        }
    }

    fn watch(pid: u32) -> anyhow::Result<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pidfd = pidfd_open(raw.context("no such pid")?, PidfdFlags::NONBLOCK)
            .context("failed to open a descendant's pidfd")?;
        Ok(Self {
            pid,
            pidfd: readable::watch(pidfd)?,
        })
    }

    /// Waits for its death.
    pub async fn death(&self) -> anyhow::Result<Death> {
        let readable = tokio::time::timeout(DEATH_DEADLINE, self.pidfd.readable())
            .await
            .with_context(|| format!("process {} is still alive", self.pid))?;
        drop(readable?);
        Ok(Death::now(self.pid))
    }
}

fn has_comm(pid: u32, comm: &str) -> bool {
    let path = format!("/proc/{pid}/comm");
    std::fs::read_to_string(path).is_ok_and(|text| text.trim_end() == comm)
}
