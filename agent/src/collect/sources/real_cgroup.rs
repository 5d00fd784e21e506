//! A real cgroup with one process in it, for tests of what is read of cgroups. Removed with all that runs in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    event::{Timespec, poll},
    process::{Pid, Signal, kill_process},
};

use crate::collect::cgroupfs::CgroupFs;

/// Attempts to remove one; with the pause, ten seconds.
const MAX_REMOVALS: u32 = 1000;
/// Controllers in whose hierarchies it is made.
const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

/// One cgroup in the hierarchy of each controller.
#[derive(Debug)]
pub(super) struct RealCgroup {
    /// Below the root of each of them.
    pub(super) path: String,
    /// Of the hierarchy that names processes.
    pub(super) files: CgroupFs,
    /// Of the process that runs in it.
    pub(super) pid: u32,
    dirs: Vec<PathBuf>,
    process: Option<Child>,
}

impl RealCgroup {
    /// Returns a new one, or `None` and a counted skip where none can be made.
    pub(super) fn make() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let files = CgroupFs::find(Path::new("/sys/fs/cgroup"));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = format!("/inquest-unit-test-{}-{number}", std::process::id());
        let hierarchies = CONTROLLERS.map(|controller| files.of_controller(controller));
        let mut wanted: Vec<_> = hierarchies
            .iter()
            .filter_map(|files| files.directory(&path))
            .collect();
        wanted.sort();
        wanted.dedup();
        let mut cgroup = Self {
            path,
            files,
            pid: 0,
            dirs: Vec::new(),
            process: None,
        };
        for dir in wanted {
            if let Err(error) = fs::create_dir(&dir) {
                testkit::skip(format_args!("no cgroup can be made: {error}"));
                return None;
            }
            cgroup.dirs.push(dir);
        }
        if cgroup.dirs.is_empty() {
            testkit::skip("no cgroup file system is mounted");
            return None;
        }
        Some(cgroup)
    }

    /// Its id in the hierarchy that names processes.
    pub(super) fn id(&self) -> Option<u64> {
        self.files.id_of(&self.path)
    }

    /// Writes a setting wherever the file is; `None` and a counted skip where it is nowhere.
    pub(super) fn set(&self, file: &str, value: &str) -> Option<()> {
        let is_written = |dir: &PathBuf| {
            let file = dir.join(file);
            file.is_file() && fs::write(file, value).is_ok()
        };
        let written = self.dirs.iter().any(is_written);
        if !written {
            testkit::skip(format_args!("this node has no {file}"));
        }
        written.then_some(())
    }

    /// Runs a shell script that joins the cgroup before it does anything else. Its input stays open.
    pub(super) fn run(&mut self, script: &str) {
        let joins = |dir: &PathBuf| format!("echo 0 > {}/cgroup.procs", dir.display());
        let lines: Vec<String> = self
            .dirs
            .iter()
            .map(joins)
            .chain([script.to_owned()])
            .collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &lines.join("\n")]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().unwrap();
        self.pid = process.id();
        self.process = Some(process);
    }

    /// Lets a script go on that reads a line.
    pub(super) fn let_go_on(&mut self) {
        use std::io::Write as _;
        let process = self.process.as_mut().unwrap();
        process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for RealCgroup {
    fn drop(&mut self) {
        for pid in self.files.pids(&self.path, 64) {
            if let Some(pid) = Pid::from_raw(pid as i32) {
                // One that has ended meanwhile is fine.
                let _gone = kill_process(pid, Signal::KILL);
            }
        }
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
        for dir in &self.dirs {
            // The kernel lets go of a cgroup shortly after its last process is gone.
            let gone = (0..MAX_REMOVALS).any(|_| fs::remove_dir(dir).is_ok() || paused());
            assert!(
                gone || std::thread::panicking(),
                "{} is left",
                dir.display()
            );
        }
    }
}

/// Pauses for a moment, without a runtime.
fn paused() -> bool {
    const PAUSE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    let _timed_out = poll(&mut [], Some(&PAUSE));
    false
}
