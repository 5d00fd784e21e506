//! A process starts children until its cgroup may have no more tasks.

use inquest_proto::v1::{self, signal::Body};
use rustix::io::Errno;

use super::play::{About, BY_COUNTERS, Played, Props, Stored, name};
use crate::scratch::Scratch;
use crate::victim::{Act, Launcher};

const MAX_TASKS: u32 = 12;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let mut cgroup = Scratch::create(None)?;
    cgroup.limit_tasks(MAX_TASKS)?;
    let mut shop = launcher.launch(&cgroup, "shop", Act::Fork).await?;
    shop.release().await?;
    let since = shop.failed_with(Errno::AGAIN.raw_os_error()).await?;
    let path = cgroup.path();
    Ok(Played {
        target: path.clone(),
        cause: "pids-exhausted",
        since,
        visible_within: BY_COUNTERS,
        names: vec![
            name("cgroup", &path),
            name("process", "shop"),
            name("limit", format!("{MAX_TASKS} tasks")),
        ],
        stored: Stored {
            kind: "pids_limit_hit",
            about: About::Cgroup(path.clone()),
            holds: Box::new(move |signal| holds(signal, &path)),
        },
        props: Props {
            victims: vec![shop],
            cgroups: vec![cgroup],
            ..Props::default()
        },
    })
}

/// The cgroup's own limit was reached.
fn holds(signal: &v1::Signal, path: &str) -> bool {
    let Some(Body::PidsLimitHit(hit)) = &signal.body else {
        return false;
    };
    let limiting = hit.limiting.as_ref();
    !hit.not_cgroup
        && hit.count > 0
        && hit.max == u64::from(MAX_TASKS)
        && limiting.is_some_and(|limiting| limiting.path == path)
}
