//! A process grows past the limit of the cgroup above its own, beside a smaller one that lives on.

use inquest_proto::v1::{self, signal::Body};

use super::play::{About, BY_RECORD, Played, Props, Stored, name, process};
use crate::scratch::Scratch;
use crate::victim::{Act, Ended, Launcher};

const SIGKILL: i32 = 9;
const LIMIT_MIB: u64 = 48;
const SMALL_MIB: usize = 8;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let limited = Scratch::create(Some(LIMIT_MIB << 20))?;
    let own = limited.create_child("app", None)?;
    let hold = Act::Wait {
        hold_mib: SMALL_MIB,
    };
    let small = launcher.launch(&own, "small", hold).await?;
    let mut hungry = launcher.launch(&own, "hungry", Act::Grow).await?;
    hungry.release().await?;
    let death = hungry.death().await?;
    death.must_be(Ended::Signal(SIGKILL))?;
    Ok(Played {
        target: own.path(),
        cause: "memory-limit-oom",
        since: death.at,
        visible_within: BY_RECORD,
        names: vec![
            name("cgroup", own.path()),
            name("limiting ancestor", limited.name()),
            name("victim", process("hungry", death.pid)),
            name("limit", format!("{LIMIT_MIB} MiB")),
            name("other process", "small"),
        ],
        stored: Stored {
            kind: "oom_kill",
            about: About::Process(death.pid),
            holds: Box::new(holds),
        },
        props: Props {
            victims: vec![small],
            cgroups: vec![own, limited],
            ..Props::default()
        },
    })
}

/// The level above the victim's own was at its limit, and the victim was the largest process.
fn holds(signal: &v1::Signal) -> bool {
    let Some(Body::OomKill(kill)) = &signal.body else {
        return false;
    };
    let limit = LIMIT_MIB << 20;
    let limiting = kill.chain.get(1);
    let at_limit = limiting
        .is_some_and(|level| level.max_bytes == Some(limit) && level.usage_bytes > limit / 10 * 9);
    let largest = kill.top_processes.first();
    kill.scope() == v1::oom_kill::Scope::Memcg
        && kill.limiting == Some(1)
        && at_limit
        && largest.is_some_and(|largest| largest.comm == "hungry")
}
