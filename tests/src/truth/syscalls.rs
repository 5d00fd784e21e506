//! Failed system calls of a shell script and its children, against what strace saw of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use inquest_proto::v1::signal::Body;
use tokio::time::{Instant, sleep};

use super::{Counts, compare, told};
use crate::client::Client;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::tool::Tool;
use crate::victim::{Act, Launcher};

const EXECUTABLE: u32 = 0o755;
/// Fails in various ways, many times over.
const SCRIPT: &str = "#!/bin/sh
exec 2>/dev/null
for number in 1 2 3 4 5 6 7 8 9 10; do
    cat /inquest-missing/$number
    ls /proc/self/fd/99 /etc/hostname/inside
    mkdir / /proc/inquest
    rmdir /proc
    ln /proc/self/stat /inquest-link
    kill -0 4194303
done
/inquest-missing/program
/etc/hostname
exit 0
";
/// Errors that are noise whatever call they come from, as docs/config.md has it.
const NOISE: [&str; 6] = [
    "EAGAIN",
    "EINTR",
    "EINPROGRESS",
    "ENOTTY",
    "ENODATA",
    "EALREADY",
];
/// Errors that are noise of one call.
const NOISE_OF_CALLS: [&str; 9] = [
    "readlink EINVAL",
    "readlinkat EINVAL",
    "lseek ESPIPE",
    "wait4 ECHILD",
    "waitid ECHILD",
    "mkdir EEXIST",
    "mkdirat EEXIST",
    "rmdir ENOTEMPTY",
    "kill ESRCH",
];
/// Longest wait for strace to have taken hold.
const ATTACH_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub(super) async fn prove(
    client: &Client,
    launcher: &Launcher,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("failed to make a directory")?;
    let (script, seen) = (dir.path().join("script"), dir.path().join("seen"));
    fs::write(&script, SCRIPT)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(EXECUTABLE))?;
    let cgroup = Scratch::create(None)?;
    let become_it = Act::Become { program: script };
    let mut shell = launcher.launch(&cgroup, "shell", become_it).await?;
    // From now on, for the word was not given yet: what the victim failed at before is not counted.
    let before = told(client, &filter(&cgroup.path()), &Counts::new(), count).await?;
    let mut strace = attach(shell.pid(), &seen).await?;
    shell.release().await?;
    shell.death().await?;
    strace.wait().context("failed to wait for strace")?;
    let mut truth = parse(&fs::read_to_string(&seen)?);
    anyhow::ensure!(!truth.is_empty(), "strace saw nothing fail");
    for (what, count) in before {
        *truth.entry(what).or_default() += count;
    }
    let told = told(client, &filter(&cgroup.path()), &truth, count).await?;
    compare("strace", &told, &truth, proof);
    Ok(())
}

fn filter(cgroup: &str) -> [(&str, &str); 2] {
    [("kind", "syscall_failures"), ("cgroup", cgroup)]
}

/// Starts strace on a process, from outside of its cgroup, and waits until it holds it.
async fn attach(pid: u32, seen: &Path) -> anyhow::Result<std::process::Child> {
    let child = Command::new(Tool::Strace.path()?)
        .args(["--follow-forks", "--failed-only", "--quiet=all"])
        .arg("--output")
        .arg(seen)
        .arg("--attach")
        .arg(pid.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start strace")?;
    let deadline = Instant::now() + ATTACH_DEADLINE;
    let tracer = format!("TracerPid:\t{}", child.id());
    while !fs::read_to_string(format!("/proc/{pid}/status"))?.contains(&tracer) {
        anyhow::ensure!(Instant::now() < deadline, "strace does not take hold");
        sleep(LOOK_AGAIN).await;
    }
    Ok(child)
}

/// `call errno` of each line that strace wrote, less the noise.
fn parse(seen: &str) -> Counts<String> {
    let mut counts = Counts::new();
    for (call, errno) in seen.lines().filter_map(failure) {
        let what = format!("{call} {errno}");
        let is_noise = NOISE.contains(&errno) || NOISE_OF_CALLS.contains(&what.as_str());
        if !is_noise {
            *counts.entry(what).or_default() += 1;
        }
    }
    counts
}

/// Reads `PID CALL(ARGUMENTS) = -1 ERRNO (WORDS)`, or the second half of one that was interrupted,
/// `PID <... CALL resumed>ARGUMENTS) = -1 ERRNO (WORDS)`.
fn failure(line: &str) -> Option<(&str, &str)> {
    let (call, result) = line.rsplit_once(" = -1 ")?;
    let (_, call) = call.trim_start().split_once(' ')?;
    let call = call.trim_start();
    let name = match call.strip_prefix("<... ") {
        Some(rest) => rest.split_once(" resumed>")?.0,
        None => call.split_once('(')?.0,
    };
    Some((name, result.split_whitespace().next()?))
}

fn count(signal: &inquest_proto::v1::Signal, counts: &mut Counts<String>) {
    if let Some(Body::SyscallFailures(failures)) = &signal.body {
        for failure in &failures.failures {
            let what = format!("{} {}", failure.syscall, failure.errno);
            *counts.entry(what).or_default() += failure.count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_strace_writes() {
        let seen = "\
12 openat(AT_FDCWD, \"/x = -1 y\", O_RDONLY) = -1 ENOENT (No such file or directory)
12 openat(AT_FDCWD, \"/z\", O_RDONLY) = -1 ENOENT (No such file or directory)
13 <... mkdir resumed>)              = -1 EEXIST (File exists)
13 <... rmdir resumed>)              = -1 EBUSY (Device or resource busy)
12 ioctl(0, TCGETS, 0x7ffe) = -1 ENOTTY (Inappropriate ioctl for device)
12 +++ exited with 0 +++
";
        let expected = [("openat ENOENT", 2), ("rmdir EBUSY", 1)];
        let expected = expected.map(|(what, count)| (what.to_owned(), count));
        assert_eq!(parse(seen), Counts::from(expected));
    }
}
