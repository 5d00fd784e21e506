//! `inquest profile` as a person runs it: threads queue for a lock whose holder sleeps, and the shares must say so.

use anyhow::Context as _;
use inquest_api::signal::from_json;
use inquest_proto::v1::{self, signal::Body, wait_share::State};

use crate::demo::Stage;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim::Act;

const THREADS: usize = 4;
/// One thread holds the lock and the main thread waits for a word: of five threads three wait for the lock.
const EXPECTED: f64 = 0.6;
/// Threads start within the window, and take turns.
const TOLERANCE: f64 = 0.1;

/// Asks the agent whose own page is at `agent`.
pub(super) async fn prove(stage: &Stage, agent: &str, proof: &mut Proof) -> anyhow::Result<()> {
    let cgroup = Scratch::create(None)?;
    let act = Act::QueueForLock { threads: THREADS };
    let mut shop = stage.launcher.launch(&cgroup, "shop", act).await?;
    shop.release().await?;
    let mut command = stage.cli(&["profile", &cgroup.path(), "--for", "3s", "-o", "json"]);
    let ended = command.env("INQUEST_AGENT", agent).output().await?;
    anyhow::ensure!(
        ended.status.success(),
        "inquest profile: {}",
        String::from_utf8_lossy(&ended.stderr)
    );
    let signal = serde_json::from_slice(&ended.stdout).context("profile is not JSON")?;
    let signal = from_json(signal).context("profile is no signal")?;
    let of = signal.subject.and_then(|subject| subject.cgroup);
    proof.exactly("profile: cgroup", of.map_or(0, |of| of.id), cgroup.id()?);
    let Some(Body::WaitProfile(profile)) = signal.body else {
        anyhow::bail!("it is no wait profile");
    };
    let share = |state| share(&profile, state);
    let futex = share(State::Futex);
    proof.figure("profile: share of the lock", futex)?;
    let is_expected = (futex - EXPECTED).abs() < TOLERANCE;
    proof.exactly("profile: share of the lock is right", is_expected, true);
    let is_rest = (futex + share(State::Sleep) - 1.0).abs() < TOLERANCE;
    proof.exactly("profile: the rest sleeps", is_rest, true);
    let lock = profile.locks.first().map(|lock| lock.waiters);
    proof.exactly(
        "profile: threads that wait for the lock",
        lock.unwrap_or(0),
        3,
    );
    Ok(())
}

fn share(profile: &v1::WaitProfile, state: State) -> f64 {
    let found = profile.shares.iter().find(|share| share.state() == state);
    found.map_or(0.0, |share| share.share)
}
