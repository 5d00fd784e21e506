//! Empties and removes a scratch cgroup. Must not end a process outside of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Longest wait for one killed process to be gone.
const DEATH: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};
/// Pause between attempts: the kernel lets go of a cgroup shortly after its last process is gone.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};
/// Attempts to empty and remove; with the pause, five seconds.
const MAX_ATTEMPTS: u32 = 500;

/// The processes of one cgroup.
pub(super) fn processes(dir: &Path) -> anyhow::Result<Vec<u32>> {
    let text = super::read(&dir.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|pid| pid.parse().ok()).collect())
}

/// Removes a cgroup with its children, killing what still runs in them; one that is gone is fine.
pub(super) fn remove(dir: &Path) -> anyhow::Result<()> {
    for child in children(dir)? {
        remove(&child)?;
    }
    for _ in 0..MAX_ATTEMPTS {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::ResourceBusy => {
                return Err(error).with_context(|| failed_to_remove(dir));
            }
            Err(_busy) => {}
        }
        for pid in processes(dir).unwrap_or_default() {
            kill(dir, pid);
        }
        wait(&mut [], &PAUSE);
    }
    anyhow::bail!("{}: it stays busy", failed_to_remove(dir))
}

fn failed_to_remove(dir: &Path) -> String {
    format!("failed to remove cgroup {}", dir.display())
}

fn children(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| failed_to_remove(dir)),
    };
    let dirs = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        entry.file_type().ok()?.is_dir().then(|| entry.path())
    });
    Ok(dirs.collect())
}

/// Kills one process of a cgroup and waits until it is gone. One that is gone already is fine.
fn kill(dir: &Path, pid: u32) {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return;
    };
    let Ok(pidfd) = pidfd_open(raw, PidfdFlags::empty()) else {
        return;
    };
    // The pid may have been given to a stranger before the descriptor was opened; after it, not.
    let is_inside = processes(dir).is_ok_and(|inside| inside.contains(&pid));
    if is_inside && pidfd_send_signal(&pidfd, Signal::KILL).is_ok() {
        // Whether it died in time shows in the next attempt to remove the cgroup.
        wait(&mut [PollFd::new(&pidfd, PollFlags::IN)], &DEATH);
    }
}

/// Waits until a descriptor is readable; false when none was in time.
fn wait(descriptors: &mut [PollFd<'_>], longest: &Timespec) -> bool {
    poll(descriptors, Some(longest)).is_ok_and(|readable| readable > 0)
}
