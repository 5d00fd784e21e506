//! Each probe and the attribution, one real occurrence each.

use std::time::Duration;

use inquest_proto::v1::{self, fatal_signal::Origin, signal::Body};
use tokio::time::{Instant, sleep};

use super::{CONTAINER_ID, POD_UID};
use crate::demo::Stage;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim::{Act, Ended};

const SIGABRT: i32 = 6;
/// Longest wait for one signal; the bulk lane is read ten times a second.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub(super) async fn prove(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    super::prove_demos(stage, proof).await?;
    exit_code_in_a_gone_cgroup(stage, proof).await?;
    abort(stage, proof).await?;
    pod_and_container(stage, proof).await
}

/// A cgroup that is gone before its signal is read must still be named.
async fn exit_code_in_a_gone_cgroup(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    let cgroup = Scratch::create(None)?;
    let path = cgroup.path();
    let exit = Act::Exit { code: 7 };
    let mut victim = stage.launcher.launch(&cgroup, "quitter", exit).await?;
    victim.release().await?;
    let death = victim.death().await?;
    drop(cgroup);
    death.must_be(Ended::Code(7))?;
    let exit = find(stage, "process_exit", death.pid).await?;
    let code = exit.as_ref().and_then(|signal| match &signal.body {
        Some(Body::ProcessExit(exit)) => Some(exit.code),
        _ => None,
    });
    proof.exactly("exit code", code.unwrap_or_default(), 7);
    proof.exactly(
        "cgroup that is gone",
        cgroup_path(exit.as_ref()),
        path.as_str(),
    );
    let exec = find(stage, "process_exec", death.pid).await?;
    proof.exactly(
        "cgroup of an exec",
        cgroup_path(exec.as_ref()),
        path.as_str(),
    );
    let is_own = exec.as_ref().is_some_and(|signal| match &signal.body {
        Some(Body::ProcessExec(exec)) => exec.filename.ends_with("inquest-e2e"),
        _ => false,
    });
    proof.exactly("program of an exec named", is_own, true);
    Ok(())
}

/// abort(3) is a signal that a process sends to itself.
async fn abort(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    let cgroup = Scratch::create(None)?;
    let mut victim = stage
        .launcher
        .launch(&cgroup, "aborter", Act::Abort)
        .await?;
    victim.release().await?;
    let death = victim.death().await?;
    death.must_be(Ended::Signal(SIGABRT))?;
    let signal = find(stage, "fatal_signal", death.pid).await?;
    let is_own = signal.is_some_and(|signal| match &signal.body {
        Some(Body::FatalSignal(fatal)) => {
            let sender = fatal.sender.as_ref().map(|sender| sender.pid);
            fatal.origin() == Origin::User && sender == Some(death.pid)
        }
        _ => false,
    });
    proof.exactly("sender of an abort is the process itself", is_own, true);
    Ok(())
}

/// A cgroup path as a container runtime makes it gives the pod and the container.
async fn pod_and_container(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    let root = Scratch::create(None)?;
    let kubepods = root.create_child("kubepods", None)?;
    let burstable = kubepods.create_child("burstable", None)?;
    let pod = burstable.create_child(&format!("pod{POD_UID}"), None)?;
    let container = pod.create_child(CONTAINER_ID, None)?;
    let exit = Act::Exit { code: 1 };
    let mut victim = stage.launcher.launch(&container, "app", exit).await?;
    victim.release().await?;
    let death = victim.death().await?;
    death.must_be(Ended::Code(1))?;
    let signal = find(stage, "process_exit", death.pid).await?;
    let subject = signal.and_then(|signal| signal.subject).unwrap_or_default();
    proof.exactly(
        "pod of a container's cgroup",
        subject.pod_uid.as_str(),
        POD_UID,
    );
    let id = subject.container.unwrap_or_default().id;
    proof.exactly("container of its cgroup", id.as_str(), CONTAINER_ID);
    // From the innermost outwards, as they can be removed.
    drop((container, pod, burstable, kubepods, root));
    Ok(())
}

/// Waits for the first signal of a kind about a process; none is an answer too.
pub(super) async fn find(
    stage: &Stage,
    kind: &str,
    pid: u32,
) -> anyhow::Result<Option<v1::Signal>> {
    let deadline = Instant::now() + SIGNAL_DEADLINE;
    let pid = pid.to_string();
    loop {
        let found = stage
            .client
            .signals(&[("kind", kind), ("pid", &pid)])
            .await?;
        let first = found.into_iter().next();
        if first.is_some() || Instant::now() > deadline {
            return Ok(first);
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn cgroup_path(signal: Option<&v1::Signal>) -> &str {
    let subject = signal.and_then(|signal| signal.subject.as_ref());
    let cgroup = subject.and_then(|subject| subject.cgroup.as_ref());
    cgroup.map_or("", |cgroup| cgroup.path.as_str())
}
