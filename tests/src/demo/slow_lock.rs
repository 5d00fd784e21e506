//! Threads queue for a lock whose holder sleeps.

use inquest_proto::v1::{self, signal::Body, wait_share::State};
use tokio::time::Instant;

use super::play::{About, BY_COUNTERS, Played, Props, Stored, name};
use crate::scratch::Scratch;
use crate::victim::{Act, Launcher};

const THREADS: u8 = 8;
/// All but the holder wait for the lock, and the main thread for a word: of nine threads seven.
const LEAST_SHARE: f64 = 0.7;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let cgroup = Scratch::create(None)?;
    let queue = Act::QueueForLock {
        threads: THREADS.into(),
    };
    let mut shop = launcher.launch(&cgroup, "shop", queue).await?;
    shop.release().await?;
    let since = Instant::now();
    Ok(Played {
        target: cgroup.path(),
        cause: "lock-contention",
        since,
        visible_within: BY_COUNTERS,
        names: vec![
            name("cgroup", cgroup.path()),
            name("thread", "worker-"),
            name("call", "futex"),
        ],
        stored: Stored {
            kind: "wait_profile",
            about: About::Cgroup(cgroup.path()),
            holds: Box::new(holds),
        },
        props: Props {
            victims: vec![shop],
            cgroups: vec![cgroup],
            ..Props::default()
        },
    })
}

/// Most of the time went into waiting for the lock, and most of the threads do.
fn holds(signal: &v1::Signal) -> bool {
    let Some(Body::WaitProfile(profile)) = &signal.body else {
        return false;
    };
    let share = |state| profile.shares.iter().find(|share| share.state() == state);
    share(State::Futex).is_some_and(|futex| {
        let thread = futex.thread.as_ref();
        futex.share > LEAST_SHARE && thread.is_some_and(|thread| thread.comm.starts_with("worker-"))
    })
}
