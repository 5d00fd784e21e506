//! The kernel's own log, read from now on: another witness of every OOM kill. Must notice when it
//! was too slow to read all of it.

use std::collections::HashMap;
use std::fmt;
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

/// What kept the kernel from finding memory, in its own words.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Constraint {
    /// It did not say, or something that is no matter of cgroups.
    #[default]
    Unknown,
    /// Nothing but the size of the memory.
    None,
    /// The limit of the cgroup at this path.
    Cgroup(String),
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::None => f.write_str("none"),
            Self::Cgroup(path) => f.write_str(path),
        }
    }
}

/// How often the kernel said of each pid that it killed it, and why it had to choose one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Kills {
    pub by_pid: HashMap<u32, u32>,
    /// Of those that it chose; rate-limited, so that a few kills have one each and a storm has not.
    pub constraints: HashMap<u32, Constraint>,
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
        self.constraints.extend(constraint(record));
    }
}

/// The pid in `...: Killed process 1234 (comm) total-vm:...`, as mm/oom_kill.c writes it.
fn killed_pid(record: &str) -> Option<u32> {
    let (_, text) = record.split_once(';')?;
    let (_, rest) = text.split_once("Killed process ")?;
    let (pid, _) = rest.split_once(' ')?;
    pid.parse().ok()
}

/// Pid and constraint in `oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/a,...,pid=12,uid=0`.
fn constraint(record: &str) -> Option<(u32, Constraint)> {
    let (_, fields) = record.split_once(";oom-kill:")?;
    let line = fields.lines().next().unwrap_or_default();
    let field = |name: &str| {
        let fields = line.split(',').filter_map(|field| field.split_once('='));
        fields
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next_back()
    };
    let constraint = match (field("constraint")?, field("oom_memcg")) {
        ("CONSTRAINT_NONE", _) => Constraint::None,
        ("CONSTRAINT_MEMCG", Some(path)) => Constraint::Cgroup(path.to_owned()),
        _ => Constraint::Unknown,
    };
    Some((field("pid")?.parse().ok()?, constraint))
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

    #[test]
    fn finds_what_the_kernel_was_short_of() {
        let rest = "nodemask=(null),cpuset=/,mems_allowed=0";
        let of_cgroup = format!(
            "6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,{rest},oom_memcg=/a/b,task_memcg=/a/b/c,task=x,pid=12,uid=0"
        );
        let of_node = format!(
            "6,1,2,-;oom-kill:constraint=CONSTRAINT_NONE,{rest},global_oom,task_memcg=/a,task=x,pid=12,uid=0"
        );
        for (record, expected) in [
            (
                of_cgroup.as_str(),
                Some((12, Constraint::Cgroup("/a/b".to_owned()))),
            ),
            (of_node.as_str(), Some((12, Constraint::None))),
            ("3,1,2,-;Out of memory: Killed process 12 (x)", None),
            ("6,1,2,-;oom-kill:constraint=CONSTRAINT_NONE,pid=x", None),
        ] {
            assert_eq!(constraint(record), expected, "{record}");
        }
    }
}
