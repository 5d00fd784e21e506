//! Cgroups of the hierarchy that names processes, for processes that die in them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A cgroup; removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: PathBuf,
    unified: bool,
    /// Below the hierarchy's root.
    pub(crate) path: String,
}

impl Scratch {
    /// Makes a cgroup `name` of this test process's own.
    pub(crate) fn new(name: &str) -> Self {
        let mounts = [("/sys/fs/cgroup/memory", false), ("/sys/fs/cgroup", true)];
        let (mount, unified) = mounts
            .into_iter()
            .find(|(mount, _)| Path::new(mount).join("cgroup.procs").is_file())
            .expect("no cgroup file system");
        let path = format!("/inquest-test-memory-{}-{name}", std::process::id());
        let directory = Path::new(mount).join(path.trim_start_matches('/'));
        fs::create_dir(&directory).unwrap();
        Self {
            directory,
            unified,
            path,
        }
    }

    /// Makes one whose processes may take so much memory together, and none of it as swap.
    pub(crate) fn with_limit(name: &str, bytes: u64) -> Self {
        let scratch = Self::new(name);
        let (limit, swap) = if scratch.unified {
            ("memory.max", ("memory.swap.max", 0))
        } else {
            (
                "memory.limit_in_bytes",
                ("memory.memsw.limit_in_bytes", bytes),
            )
        };
        fs::write(scratch.directory.join(limit), bytes.to_string()).unwrap();
        let swap_file = scratch.directory.join(swap.0);
        if swap_file.is_file() {
            fs::write(swap_file, swap.1.to_string()).unwrap();
        }
        scratch
    }

    /// Returns a command that runs `program` in the cgroup.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.directory.join("cgroup.procs"))
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// Returns a command that runs a script in the cgroup, unheard.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut shell = self.command("bash");
        shell
            .args(["-c", script])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        shell
    }

    /// Starts a shell that has `count` children die by SIGKILL in the cgroup, and ends well itself.
    pub(crate) fn begin_deaths(&self, count: u64) -> Child {
        let script =
            format!("for ((i = 0; i < {count}; i++)); do (kill -KILL $BASHPID); done; true");
        self.shell(&script).spawn().unwrap()
    }

    /// Has a process run out of memory; returns its pid.
    pub(crate) fn run_out_of_memory(&self) -> u32 {
        // It reads one line, which never ends.
        let mut hungry = self.shell("exec tail /dev/zero").spawn().unwrap();
        let pid = hungry.id();
        hungry.wait().unwrap();
        pid
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.directory) {
            eprintln!("{} is left behind: {error}", self.directory.display());
        }
    }
}
