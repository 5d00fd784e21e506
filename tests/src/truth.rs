//! Counts that the product tells, against counts that others keep: strace, a firewall rule, the
//! kernel's TCP statistics. Must ask neither side to believe the other.

mod connections;
mod drops;
mod syscalls;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use inquest_proto::v1;
use tokio::time::{Instant, sleep};

use crate::binaries::Binaries;
use crate::client::Client;
use crate::host;
use crate::proof::Proof;
use crate::stack::{ALWAYS_ON, Stack};
use crate::victim::Launcher;

/// Longest wait until all is told: windows close every second or few.
const TOLD_DEADLINE: Duration = Duration::from_secs(20);
/// Time given to more to be told than there was.
const MORE_GRACE: Duration = Duration::from_secs(3);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How often each of some things happened.
type Counts<K> = BTreeMap<K, u64>;

/// Runs all of it against a private stack.
pub async fn run(json: Option<&Path>) -> anyhow::Result<ExitCode> {
    host::require_root("this test")?;
    let binaries = Binaries::beside_own()?;
    let launcher = Launcher::own()?;
    let mut proof = Proof::begin("test-truth")?;
    let stack = Stack::start_with(&binaries, "", ALWAYS_ON).await?;
    prove(&stack.client, &launcher, &mut proof).await?;
    stack.stop().await?;
    proof.finish(json)
}

/// The same against a stack that runs.
pub async fn prove(client: &Client, launcher: &Launcher, proof: &mut Proof) -> anyhow::Result<()> {
    syscalls::prove(client, launcher, proof).await?;
    drops::prove(client, launcher, proof).await?;
    connections::prove(client, launcher, proof).await
}

/// Waits until as much is told as truly happened, then whether more is; gives what is told.
async fn told<K: Ord>(
    client: &Client,
    filter: &[(&str, &str)],
    truth: &Counts<K>,
    count: impl Fn(&v1::Signal, &mut Counts<K>),
) -> anyhow::Result<Counts<K>> {
    let deadline = Instant::now() + TOLD_DEADLINE;
    let ask = async || {
        let mut counts = Counts::new();
        for signal in client.signals(filter).await? {
            count(&signal, &mut counts);
        }
        anyhow::Ok(counts)
    };
    let is_short = |told: &Counts<K>| {
        let mut truth = truth.iter();
        truth.any(|(what, count)| told.get(what).is_none_or(|told| told < count))
    };
    while is_short(&ask().await?) && Instant::now() < deadline {
        sleep(LOOK_AGAIN).await;
    }
    sleep(MORE_GRACE).await;
    ask().await
}

/// Each thing must have been told exactly as often as it happened.
fn compare<K: Display + Ord>(of: &str, told: &Counts<K>, truth: &Counts<K>, proof: &mut Proof) {
    for (what, count) in truth {
        let told = told.get(what).copied().unwrap_or(0);
        proof.exactly(&format!("{of}: {what}"), told, *count);
    }
    for (what, told) in told.iter().filter(|(what, _)| !truth.contains_key(what)) {
        proof.exactly(&format!("{of}: {what}"), *told, 0);
    }
}
