//! The kernel's own log, read from now on: another witness of every OOM kill. Must notice when it
//! was too slow to read all of it.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::Context as _;
use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::readable;

/// Longest record that the kernel gives to one read (CONSOLE_EXT_LOG_MAX is 8 KiB).
const MAX_RECORD_BYTES: usize = 8 << 10;

/// How often the kernel said of each pid that it killed it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Kills {
    pub by_pid: HashMap<u32, u32>,
    /// Records that were overwritten before they could be read; then the count proves nothing.
    pub overruns: u64,
}

/// Reads `/dev/kmsg` from the moment it is opened.
#[derive(Debug)]
pub struct KernelLog {
    device: AsyncFd<OwnedFd>,
    kills: Kills,
}

impl KernelLog {
    /// Opens the log at its end; needs root.
    pub fn open_at_end() -> anyhow::Result<Self> {
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options()
            .read(true)
            .custom_flags(nonblocking)
            .open("/dev/kmsg")
            .context("failed to open the kernel log")?;
        seek(&file, SeekFrom::End(0)).context("failed to go to the end of the kernel log")?;
        Ok(Self {
            device: readable::watch(file.into())?,
            kills: Kills::default(),
        })
    }

    /// Reads for ever; cancelling it between records loses nothing.
    pub async fn follow(&mut self) -> anyhow::Result<()> {
        loop {
            let mut guard = self.device.readable().await?;
            self.kills.drain(self.device.get_ref())?;
            guard.clear_ready();
        }
    }

    /// Reads what is there and gives what was seen since the log was opened.
    pub fn kills(&mut self) -> anyhow::Result<&Kills> {
        self.kills.drain(self.device.get_ref())?;
        Ok(&self.kills)
    }
}

impl Kills {
    fn drain(&mut self, device: &OwnedFd) -> anyhow::Result<()> {
        let mut record = [0; MAX_RECORD_BYTES];
        loop {
            match rustix::io::read(device, &mut record) {
                Ok(length) => {
                    let bytes = record.get(..length).unwrap_or_default();
                    self.take(&String::from_utf8_lossy(bytes));
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::PIPE) => self.overruns += 1,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("failed to read the kernel log"),
            }
        }
    }

    fn take(&mut self, record: &str) {
        if let Some(pid) = killed_pid(record) {
            *self.by_pid.entry(pid).or_default() += 1;
        }
    }
}

/// The pid in `...: Killed process 1234 (comm) total-vm:...`, as mm/oom_kill.c writes it.
fn killed_pid(record: &str) -> Option<u32> {
    let (_, text) = record.split_once(';')?;
    let (_, rest) = text.split_once("Killed process ")?;
    let (pid, _) = rest.split_once(' ')?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_killed_process_in_a_record() {
        for (record, expected) in [
            (
                "3,1021,99,-;Memory cgroup out of memory: Killed process 4711 (hungry) total-vm:1kB",
                Some(4711),
            ),
            (
                "3,1,2,-;Out of memory: Killed process 1 (x) total-vm:1kB",
                Some(1),
            ),
            (
                "6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,task=x,pid=12",
                None,
            ),
            ("3,1,2,-;Killed process x (y)", None),
            ("no record", None),
        ] {
            assert_eq!(killed_pid(record), expected, "{record}");
        }
    }
}
