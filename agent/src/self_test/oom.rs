//! The check of OOM kills.

use anyhow::bail;
use inquest_proto::v1::{oom_kill::Scope, signal::Body};

use super::{
    actor::Actor,
    check::{Check, Place},
    scratch::Limit,
};

/// The limit of the cgroup; room for the actor itself, and soon reached.
const LIMIT_BYTES: u64 = 16 << 20;
/// Where growing ends when nothing stops it, so that a limit that does not hold costs the node no more.
const MAX_GROWN_BYTES: usize = 64 << 20;
/// Growth at a time.
const STEP_BYTES: usize = 256 << 10;

pub(super) const CHECK: Check = Check {
    name: "oom_kill",
    probe: Some("mark_victim"),
    expects: "an OOM kill of the process, at the limit of its own cgroup",
    place: Place {
        limits: &[Limit::memory("16777216"), Limit::NO_SWAP],
        ..Place::CGROUP
    },
    act: grow,
    is_told_by: |signal, deed| {
        let Some(Body::OomKill(kill)) = &signal.body else {
            return false;
        };
        let own = kill.chain.first();
        deed.is_subject(signal)
            && kill.scope() == Scope::Memcg
            && kill.limiting == Some(0)
            && own.is_some_and(|own| own.max_bytes == Some(LIMIT_BYTES))
    },
};

fn grow(_: &Actor) -> anyhow::Result<()> {
    let mut held = Vec::new();
    for _ in 0..MAX_GROWN_BYTES / STEP_BYTES {
        // Written, so that the kernel must find a page for each of it.
        held.push(std::hint::black_box(vec![1_u8; STEP_BYTES]));
    }
    bail!(
        "grew to {MAX_GROWN_BYTES} bytes, and the cgroup's limit of {LIMIT_BYTES} stopped nothing"
    )
}
