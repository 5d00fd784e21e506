//! The life of a container, one of each: its start, its restart, what its init executed, its end and removal.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body};
use rustix::thread::UnshareFlags;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::{CONTAINER_ID, POD_UID};
use crate::demo::Stage;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim;

/// A second container of the same pod.
const RESTARTED_ID: &str = "77d1b7c5a2e4860b1d2c3f4a5968778695a4b3c2d1e0f1a2b3c4d5e6f7081923";
const SHORT_LIFE: &str = "sleep 0.05";
/// Its child is process 1 of the new pid namespace: it executes three files and fails.
const INIT: &str = r#"/bin/sh -c 'exec /usr/bin/env /bin/sh -c "exit 4"'; true"#;
const INIT_CHAIN: [&str; 3] = ["/bin/sh", "/usr/bin/env", "/bin/sh"];
/// What a life of 50 ms can have taken on a busy machine.
const MAX_LIFETIME: Duration = Duration::from_secs(10);
/// Longest wait for one signal.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(super) async fn prove(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    start_and_removal(stage, proof).await?;
    what_an_init_executed(stage, proof).await
}

/// The second container of a pod is a restart of the first.
async fn start_and_removal(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    let root = Scratch::create(None)?;
    let pod = root.create_child(&format!("pod{POD_UID}"), None)?;
    for (container, earlier) in [(CONTAINER_ID, 0), (RESTARTED_ID, 1)] {
        let cgroup = pod.create_child(container, None)?;
        let id = cgroup.id()?;
        run(&cgroup, SHORT_LIFE, UnshareFlags::empty()).await?;
        drop(cgroup);
        if let Some(Body::ContainerStart(start)) = about(stage, "container_start", id).await? {
            proof.exactly("program of a start", start.filename.as_str(), "/bin/sh");
            proof.exactly("earlier starts in the pod", start.earlier_starts, earlier);
        } else {
            proof.exactly("start of a container told", false, true);
        }
        let lifetime = match about(stage, "cgroup_removed", id).await? {
            Some(Body::CgroupRemoved(removed)) => Duration::from_nanos(removed.lifetime_ns),
            _ => Duration::ZERO,
        };
        let is_own = (Duration::from_millis(50)..MAX_LIFETIME).contains(&lifetime);
        proof.exactly("lifetime of a removed cgroup", is_own, true);
    }
    // From the innermost outwards, as they can be removed.
    drop((pod, root));
    Ok(())
}

async fn what_an_init_executed(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    let cgroup = Scratch::create(None)?;
    run(&cgroup, INIT, UnshareFlags::NEWPID).await?;
    let chain = match about(stage, "process_exit", cgroup.id()?).await? {
        Some(Body::ProcessExit(exit)) => exit.exec_chain,
        _ => Vec::new(),
    };
    proof.exactly(
        "what an init executed",
        chain.join(" "),
        INIT_CHAIN.join(" "),
    );
    Ok(())
}

/// Runs a shell script to its end in a cgroup, its children in new namespaces.
async fn run(cgroup: &Scratch, script: &str, unshare: UnshareFlags) -> anyhow::Result<()> {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    victim::enter(&mut command, cgroup)?;
    let leave = move || {
        // SAFETY: a new pid namespace for children shares no descriptor table or memory differently.
        unsafe { rustix::thread::unshare_unsafe(unshare) }?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes one unshare(2); it allocates nothing and takes no lock.
    unsafe { command.pre_exec(leave) };
    command.status().await.context("failed to run a script")?;
    Ok(())
}

/// Waits for the first signal of a kind about a cgroup; none is an answer too.
async fn about(stage: &Stage, kind: &str, cgroup_id: u64) -> anyhow::Result<Option<Body>> {
    let deadline = Instant::now() + SIGNAL_DEADLINE;
    loop {
        let signals = stage.client.signals(&[("kind", kind)]).await?;
        let mut ours = signals
            .into_iter()
            .filter(|signal| cgroup_of(signal) == Some(cgroup_id));
        let found = ours.next();
        if found.is_some() || Instant::now() > deadline {
            return Ok(found.and_then(|signal| signal.body));
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn cgroup_of(signal: &v1::Signal) -> Option<u64> {
    Some(signal.subject.as_ref()?.cgroup.as_ref()?.id)
}
