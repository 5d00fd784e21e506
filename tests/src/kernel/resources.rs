//! What containers run short of while they live: a CPU quota that is used up and a file system that is full, as signals
//! and as the cause that a person is told; then the file system turns read-only.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::demo::Stage;
use crate::namespaces::Namespaces;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::tool::Tool;
use crate::victim;

/// A tenth of a CPU for a loop that wants all of it.
const QUOTA_MILLIS: u32 = 100;
const BUSY: &str = "while :; do :; done";
const SIZE_BYTES: u64 = 1 << 20;
/// Fills the file system, then goes on trying.
const FILL: &str = "head -c 2000000 /dev/zero > \"$1/file\"; while :; do echo more >> \"$1/file\"; sleep 0.1; done";
/// Samples are ten seconds apart, and a cause needs two of them.
const CAUSE_DEADLINE: Duration = Duration::from_mins(2);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn prove(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    let dir = tempfile::tempdir().context("failed to make a directory")?;
    let place = dir.path().display().to_string();
    let mounts = Namespaces::mount()?;
    let size = format!("size={SIZE_BYTES}");
    mounts.run(Tool::Mount, &["-t", "tmpfs", "-o", &size, "tmpfs", &place])?;
    let mut throttled = Scratch::create(None)?;
    throttled.limit_cpu(QUOTA_MILLIS)?;
    let full = Scratch::create(None)?;
    // Both at once, since both take their time to be told.
    let _busy = run(&throttled, None, &[BUSY])?;
    let _filler = run(&full, Some(&mounts), &[FILL, "fill", &place])?;
    filled(stage, proof, &full, &place).await?;
    mounts.run(Tool::Mount, &["-o", "remount,ro", &place])?;
    turned_read_only(stage, proof, &full, &place).await?;
    stopped_by_quota(stage, proof, &throttled).await?;
    Ok(())
}

/// Runs a shell script that is killed when the value is dropped.
fn run(cgroup: &Scratch, mounts: Option<&Namespaces>, args: &[&str]) -> anyhow::Result<Child> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").args(args).kill_on_drop(true);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    victim::enter(&mut command, cgroup)?;
    if let Some(mounts) = mounts {
        mounts.enter(command.as_std_mut())?;
    }
    command.spawn().context("failed to start a script")
}

async fn filled(
    stage: &Stage,
    proof: &mut Proof,
    cgroup: &Scratch,
    place: &str,
) -> anyhow::Result<()> {
    let usage = usage_of(stage, cgroup, |body| match body {
        Body::FilesystemUsage(usage) if usage.failed_writes > 0 => Some(usage.clone()),
        _ => None,
    });
    let usage = usage.await?.unwrap_or_default();
    proof.exactly(
        "mount point of a full file system",
        usage.mount_point.as_str(),
        place,
    );
    proof.exactly("size of a full file system", usage.size_bytes, SIZE_BYTES);
    proof.exactly("room in a full file system", usage.available_bytes, 0);
    let cause = cause(stage, cgroup, "disk-full").await?;
    proof.exactly("cause of refused writes", cause.as_str(), "disk-full");
    Ok(())
}

async fn turned_read_only(
    stage: &Stage,
    proof: &mut Proof,
    cgroup: &Scratch,
    place: &str,
) -> anyhow::Result<()> {
    let usage = usage_of(stage, cgroup, |body| match body {
        Body::FilesystemUsage(usage) if usage.became_read_only => Some(usage.clone()),
        _ => None,
    });
    let usage = usage.await?.unwrap_or_default();
    proof.exactly(
        "file system that turned read-only",
        usage.mount_point.as_str(),
        place,
    );
    Ok(())
}

async fn stopped_by_quota(
    stage: &Stage,
    proof: &mut Proof,
    cgroup: &Scratch,
) -> anyhow::Result<()> {
    let usage = usage_of(stage, cgroup, |body| match body {
        Body::ResourceUsage(usage) if usage.cpu_throttled_periods > Some(0) => {
            Some(v1::ResourceUsage::clone(usage))
        }
        _ => None,
    });
    let quota = usage.await?.and_then(|usage| usage.cpu_max_millis);
    proof.exactly(
        "quota of a throttled cgroup",
        quota.unwrap_or_default(),
        QUOTA_MILLIS.into(),
    );
    let cause = cause(stage, cgroup, "cpu-throttled").await?;
    proof.exactly(
        "cause of a throttled cgroup",
        cause.as_str(),
        "cpu-throttled",
    );
    Ok(())
}

/// Waits for what is looked for in a sample of a cgroup; none is an answer too.
async fn usage_of<T>(
    stage: &Stage,
    cgroup: &Scratch,
    look: impl Fn(&Body) -> Option<T>,
) -> anyhow::Result<Option<T>> {
    let deadline = Instant::now() + CAUSE_DEADLINE;
    let id = cgroup.id()?;
    loop {
        let mut signals = stage
            .client
            .signals(&[("kind", "filesystem_usage")])
            .await?;
        signals.extend(stage.client.signals(&[("kind", "resource_usage")]).await?);
        let mut ours = signals
            .iter()
            .filter(|signal| cgroup_of(signal) == Some(id));
        let found = ours.find_map(|signal| look(signal.body.as_ref()?));
        if found.is_some() || Instant::now() > deadline {
            return Ok(found);
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits until a person who asks about the cgroup is told `expected`; returns what is told at last.
async fn cause(stage: &Stage, cgroup: &Scratch, expected: &str) -> anyhow::Result<String> {
    let deadline = Instant::now() + CAUSE_DEADLINE;
    let path = cgroup.path();
    loop {
        let report = stage.client.why(&path).await?;
        let incident = report.and_then(|report| report.incidents.into_iter().next());
        let cause = incident
            .map(|incident| incident.root_cause.cause)
            .unwrap_or_default();
        if cause == expected || Instant::now() > deadline {
            return Ok(cause);
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn cgroup_of(signal: &v1::Signal) -> Option<u64> {
    Some(signal.subject.as_ref()?.cgroup.as_ref()?.id)
}
