//! Threads queue for a lock whose holder sleeps.

use inquest_proto::v1::{self, signal::Body, wait_share::State};
use tokio::time::Instant;

use super::play::{About, BY_COUNTERS, Played, Props, Stored, name, process};
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
    let (since, pid) = (Instant::now(), shop.pid());
    Ok(Played {
        target: cgroup.path(),
        cause: "lock-contention",
        since,
        visible_within: BY_COUNTERS,
        names: vec![
            name("cgroup", cgroup.path()),
            name("thread", "worker-"),
            name("call", "futex"),
            name("lock", "the lock at 0x"),
            name("process", process("shop", shop.pid())),
        ],
        stored: Stored {
            kind: "wait_profile",
            about: About::Cgroup(cgroup.path()),
            holds: Box::new(move |signal| holds(signal, pid)),
        },
        props: Props {
            victims: vec![shop],
            cgroups: vec![cgroup],
            ..Props::default()
        },
    })
}

/// Most of the time went into waiting for one lock of that process, in most of its threads.
fn holds(signal: &v1::Signal, pid: u32) -> bool {
    let Some(Body::WaitProfile(profile)) = &signal.body else {
        return false;
    };
    let share = |state| profile.shares.iter().find(|share| share.state() == state);
    let is_the_lock = |lock: &v1::ContendedLock| {
        let process = lock.process.as_ref();
        lock.passed
            && lock.waiters + 2 > u32::from(THREADS)
            && process.is_some_and(|of| of.pid == pid)
    };
    let is_seen = profile.locks.iter().any(is_the_lock);
    let is_waited_for = share(State::Futex).is_some_and(|futex| {
        let thread = futex.thread.as_ref();
        futex.share > LEAST_SHARE && thread.is_some_and(|thread| thread.comm.starts_with("worker-"))
    });
    is_seen && is_waited_for
}
