//! A child of a container's process 1 is killed for memory, and process 1 lives on: nothing restarts,
//! and nobody who looks at the container's state can tell.

use inquest_proto::v1::{self, signal::Body};

use super::play::{About, BY_RECORD, Played, Props, Stored, name, process};
use crate::scratch::Scratch;
use crate::victim::{Act, Descendant, Launcher};

const LIMIT_MIB: u64 = 32;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let cgroup = Scratch::create(Some(LIMIT_MIB << 20))?;
    let mut container = launcher.launch(&cgroup, "runtime", Act::Container).await?;
    let worker = Descendant::find(&cgroup, "app-worker").await?;
    container.release().await?;
    let death = worker.death().await?;
    let ended = container.next_line().await?;
    anyhow::ensure!(
        ended.contains("signal: 9"),
        "process 1 saw its child end with `{ended}`: nothing can be proven"
    );
    Ok(Played {
        target: cgroup.path(),
        cause: "memory-limit-oom/child-process",
        since: death.at,
        visible_within: BY_RECORD,
        names: vec![
            name("cgroup", cgroup.path()),
            name("victim", process("app-worker", death.pid)),
            name("limit", format!("{LIMIT_MIB} MiB")),
        ],
        stored: Stored {
            kind: "oom_kill",
            about: About::Process(death.pid),
            holds: Box::new(holds),
        },
        props: Props {
            victims: vec![container],
            cgroups: vec![cgroup],
            ..Props::default()
        },
    })
}

/// The victim was not process 1 of its container.
fn holds(signal: &v1::Signal) -> bool {
    let is_oom = matches!(signal.body, Some(Body::OomKill(_)));
    let process = signal.subject.as_ref().and_then(|s| s.process.as_ref());
    is_oom && process.is_some_and(|process| !process.container_init && process.namespace_pid > 1)
}
