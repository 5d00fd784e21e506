//! Processes that outlive the command that started them, and the pid files that remember them.
//!
//! A pid alone is not an identity: the kernel gives it to another process later. Pid and start
//! time together are, until the next boot, whose id is kept for that reason.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Which process it is, among all that had its pid.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Identity {
    /// The process id.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot.
    pub(crate) start_ticks: u64,
    /// The kernel's id of this boot.
    pub(crate) boot_id: String,
}

impl Identity {
    /// Identifies a process, ended or not, as long as the kernel knows it.
    fn of(pid: i32) -> Option<Self> {
        Some(Self {
            pid,
            start_ticks: Stat::read(pid)?.start_ticks,
            boot_id: boot_id()?,
        })
    }

    /// Tells whether this very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        let has_ended = Stat::read(self.pid).is_none_or(|stat| stat.has_ended);
        !has_ended && Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal if this very process still runs.
    pub(crate) fn signal(&self, signal: libc::c_int) -> anyhow::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        match kill(self.pid, signal) {
            Err(error) if self.is_alive() => {
                Err(error).with_context(|| format!("failed to signal process {}", self.pid))
            }
            _ => Ok(()),
        }
    }
}

fn kill(pid: i32, signal: libc::c_int) -> std::io::Result<()> {
    // SAFETY: kill takes two numbers and touches no memory of this process.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// What `/proc/PID/stat` tells.
#[derive(Debug, Eq, PartialEq)]
struct Stat {
    /// It runs no more, though nobody may have collected its exit status yet.
    has_ended: bool,
    start_ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may itself hold spaces and parentheses.
    fn parse(stat: &str) -> Option<Self> {
        /// Positions after the name, counted from the state (field 3 in `proc(5)`).
        const STATE: usize = 0;
        const START_TIME: usize = 19;
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        Some(Self {
            has_ended: matches!(*fields.get(STATE)?, "Z" | "X" | "x"),
            start_ticks: fields.get(START_TIME)?.parse().ok()?,
        })
    }
}

/// What is remembered of a started process.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct PidRecord {
    /// Which process it is.
    #[serde(flatten)]
    pub(crate) identity: Identity,
    /// A digest of the program and the configuration that it was started with.
    pub(crate) version: u64,
}

/// The file that remembers a process.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Names the file; nothing is read yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads the process that the file remembers, if it is still alive.
    pub(crate) fn read_alive(&self) -> Option<PidRecord> {
        let record: PidRecord = serde_json::from_slice(&fs::read(&self.0).ok()?).ok()?;
        record.identity.is_alive().then_some(record)
    }

    /// Remembers a process.
    pub(crate) fn write(&self, record: &PidRecord) -> anyhow::Result<()> {
        let json = serde_json::to_vec(record).context("failed to encode a pid file")?;
        fs::write(&self.0, json).with_context(|| format!("failed to write {}", self.0.display()))
    }

    /// Forgets the process.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("failed to remove {}", self.0.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Starts a program in a session of its own, so that it lives on when the terminal closes. What
/// it writes is appended to `log`.
pub(crate) fn spawn_detached(command: &mut Command, log: &Path) -> anyhow::Result<Identity> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("failed to open {}", log.display()))?;
    command.stdin(Stdio::null());
    command
        .stdout(file.try_clone().context("failed to share a log file")?)
        .stderr(file);
    // SAFETY: setsid is async-signal-safe and touches no memory of this process.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let program = command.get_program().to_owned();
    let child = command
        .spawn()
        .with_context(|| format!("failed to start {}", program.display()))?;
    // Until it is waited for, the kernel knows it even if it ended at once.
    let identity = Identity::of(child.id().cast_signed());
    identity.with_context(|| format!("failed to identify the process of {}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_pid() -> i32 {
        std::process::id().cast_signed()
    }

    #[test]
    fn reads_state_and_start_time_whatever_the_name_is() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21";
        for (start, has_ended) in [
            ("42 (a) b) S", false),
            ("42 (x) R", false),
            ("42 (x) Z", true),
        ] {
            let stat = Stat::parse(&format!("{start} {rest}"));
            assert_eq!(
                stat,
                Some(Stat {
                    has_ended,
                    start_ticks: 777
                }),
                "{start}"
            );
        }
        for torn in ["", "42", "42 (a) S 1 2", "42 (a"] {
            assert_eq!(Stat::parse(torn), None, "{torn}");
        }
    }

    #[test]
    fn reused_pid_is_another_process() {
        let own = Identity::of(own_pid()).unwrap();
        assert!(own.is_alive());
        let earlier = Identity {
            start_ticks: own.start_ticks - 1,
            ..own.clone()
        };
        assert!(!earlier.is_alive());
        earlier.signal(libc::SIGKILL).unwrap();
        let other_boot = Identity {
            boot_id: "another".to_owned(),
            ..own
        };
        assert!(!other_boot.is_alive());
    }

    #[test]
    fn pid_file_forgets_what_has_ended() {
        let dir = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = PidFile::new(dir.join("x.pid"));
        assert_eq!(file.read_alive(), None, "no file");

        let identity = Identity::of(own_pid()).unwrap();
        let record = PidRecord {
            identity,
            version: 7,
        };
        file.write(&record).unwrap();
        assert_eq!(file.read_alive(), Some(record));

        let identity = spawn_detached(Command::new("sleep").arg("600"), &dir.join("log"));
        let identity = identity.unwrap();
        file.write(&PidRecord {
            identity: identity.clone(),
            version: 7,
        })
        .unwrap();
        identity.signal(libc::SIGKILL).unwrap();
        let deadline = std::time::Duration::from_mins(1);
        assert!(crate::clock::wait_until(deadline, || file
            .read_alive()
            .is_none()));
        file.remove().unwrap();
        file.remove().unwrap();
        fs::remove_dir_all(dir).unwrap();
    }
}
