//! Who sent a fatal signal, as a class: each class that needs no Kubernetes node is provoked once.

use inquest_proto::v1::{fatal_signal::SenderClass, signal::Body};
use rustix::process::{Pid, Signal, kill_process};

use super::{CONTAINER_ID, POD_UID, probes};
use crate::demo::Stage;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim::{Act, Victim};

const SIGKILL: i32 = 9;
const OTHER_CONTAINER_ID: &str = "77d1b7c5a2e4860b1d2c3f4a5968778695a4b3c2d1e0f1a2b3c4d5e6f7081923";
const OTHER_POD_UID: &str = "1a5e2c1a-7b3d-4e8f-9a6b-1c2d3e4f5a6b";
/// Little enough to be reached at once.
const OOM_LIMIT_BYTES: u64 = 16 << 20;

/// A pod with two containers, another pod with one, and a cgroup that is no container.
struct Places {
    own: Scratch,
    same_pod: Scratch,
    other_pod: Scratch,
    outside: Scratch,
    // From the innermost outwards, as they can be removed.
    _rest: [Scratch; 3],
}

impl Places {
    fn make() -> anyhow::Result<Self> {
        let outside = Scratch::create(None)?;
        let root = Scratch::create(None)?;
        let pod = root.create_child(&format!("pod{POD_UID}"), None)?;
        let other = root.create_child(&format!("pod{OTHER_POD_UID}"), None)?;
        Ok(Self {
            own: pod.create_child(CONTAINER_ID, None)?,
            same_pod: pod.create_child(OTHER_CONTAINER_ID, None)?,
            other_pod: other.create_child(OTHER_CONTAINER_ID, None)?,
            outside,
            _rest: [pod, other, root],
        })
    }
}

pub(super) async fn prove(stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    let places = Places::make()?;
    for (what, from, comm, expected) in [
        ("sibling", &places.own, "killer", SenderClass::Sibling),
        (
            "sibling called kubelet",
            &places.own,
            "kubelet",
            SenderClass::Sibling,
        ),
        (
            "container of its pod",
            &places.same_pod,
            "killer",
            SenderClass::Pod,
        ),
        (
            "container of another pod",
            &places.other_pod,
            "runc",
            SenderClass::OtherContainer,
        ),
        (
            "process outside",
            &places.outside,
            "killer",
            SenderClass::Host,
        ),
        (
            "process outside called kubelet",
            &places.outside,
            "kubelet",
            SenderClass::Host,
        ),
    ] {
        let found = killed_by(stage, &places.own, from, comm).await?;
        judge(proof, what, found, expected);
    }
    let found = killed_by_parent(stage, &places.own).await?;
    judge(proof, "parent", found, SenderClass::Parent);
    let aborter = launch(stage, &places.own, Act::Abort).await?;
    let found = class_of_death(stage, aborter).await?;
    judge(proof, "itself", found, SenderClass::Itself);
    let limited = Scratch::create(Some(OOM_LIMIT_BYTES))?;
    let grower = launch(stage, &limited, Act::Grow).await?;
    let found = class_of_death(stage, grower).await?;
    judge(proof, "kernel", found, SenderClass::Kernel);
    Ok(())
}

fn judge(proof: &mut Proof, what: &str, found: SenderClass, expected: SenderClass) {
    let name = format!("sender of a signal: {what}");
    proof.exactly(&name, found.as_str_name(), expected.as_str_name());
}

/// Has a process called `comm` in `from` kill one in `target`.
async fn killed_by(
    stage: &Stage,
    target: &Scratch,
    from: &Scratch,
    comm: &str,
) -> anyhow::Result<SenderClass> {
    let victim = stage
        .launcher
        .launch(target, "target", Act::Wait { hold_mib: 1 })
        .await?;
    let kill = Act::Kill {
        pid: victim.pid().try_into()?,
        signal: SIGKILL,
    };
    let mut killer = stage.launcher.launch(from, comm, kill).await?;
    killer.release().await?;
    let found = after_death(stage, victim).await?;
    killer.let_go();
    killer.death().await?;
    Ok(found)
}

/// The harness is the parent of all victims.
async fn killed_by_parent(stage: &Stage, target: &Scratch) -> anyhow::Result<SenderClass> {
    let victim = launch(stage, target, Act::Wait { hold_mib: 1 }).await?;
    if let Some(pid) = i32::try_from(victim.pid()).ok().and_then(Pid::from_raw) {
        kill_process(pid, Signal::KILL)?;
    }
    after_death(stage, victim).await
}

async fn launch(stage: &Stage, cgroup: &Scratch, act: Act) -> anyhow::Result<Victim> {
    stage.launcher.launch(cgroup, "target", act).await
}

async fn class_of_death(stage: &Stage, mut victim: Victim) -> anyhow::Result<SenderClass> {
    victim.release().await?;
    after_death(stage, victim).await
}

/// Waits for the death and returns the sender's class as the agent told it.
async fn after_death(stage: &Stage, mut victim: Victim) -> anyhow::Result<SenderClass> {
    let death = victim.death().await?;
    let signal = probes::find(stage, "fatal_signal", death.pid).await?;
    Ok(match signal.and_then(|signal| signal.body) {
        Some(Body::FatalSignal(fatal)) => fatal.sender_class(),
        _ => SenderClass::Unspecified,
    })
}
