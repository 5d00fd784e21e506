//! The agent is killed while it watches a busy kernel: whatever was in its spool must end in the
//! store exactly once, and each time it was dead must be a gap in coverage.

mod load;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body};
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::moments::Moments;
use super::{count_ids, doubled};
use crate::binaries::Binaries;
use crate::output;
use crate::proof::Proof;
use crate::stack::Stack;
use crate::victim::Launcher;

/// To the kill, in half of the rounds from the agent's start, which may hit the attaching of probes,
/// in the others from its readiness.
const SHORTEST_LIFE: Duration = Duration::from_millis(10);
const LONGEST_LIFE: Duration = Duration::from_millis(2500);
/// Once in so many rounds the aggregator is stopped, so that the spool fills.
const PAUSE_ONCE_IN: u64 = 3;
/// Longest wait for the spool to be empty at the end.
const DRAIN_DEADLINE: Duration = Duration::from_mins(1);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the harness saw at the kills.
#[derive(Debug, Default)]
struct Seen {
    kills: Vec<Timestamp>,
    /// Signals that were in the spool at a kill.
    spooled: HashSet<String>,
    kills_with_a_full_spool: u32,
}

pub(super) async fn prove(
    binaries: &Binaries,
    rounds: u32,
    mut moments: Moments,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let mut stack = Stack::start(binaries, "").await?;
    let (stop, stopped) = watch::channel(false);
    let load = tokio::spawn(load::run(Launcher::own()?, stopped));
    let mut seen = Seen::default();
    for _ in 0..rounds {
        if moments.once_in(2) {
            stack.agent()?.ready().await?;
        }
        let pause = moments.once_in(PAUSE_ONCE_IN);
        let life = moments.within(SHORTEST_LIFE, LONGEST_LIFE);
        kill_after(&mut stack, life, pause, &mut seen).await?;
        stack.agent()?.launch_again()?;
    }
    stack.agent()?.ready().await?;
    stop.send_replace(true);
    let victims = load.await??;
    drained(&mut stack).await?;
    judge(&stack, rounds, victims, &seen, proof).await?;
    stack.stop().await
}

async fn kill_after(
    stack: &mut Stack,
    life: Duration,
    pause: bool,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    if pause {
        stack.aggregator.signal(Signal::STOP)?;
    }
    sleep(life).await;
    stack.agent()?.kill().await?;
    seen.kills.push(Timestamp::now());
    let spooled = spooled_ids(&stack.agent_state());
    if pause {
        stack.aggregator.signal(Signal::CONT)?;
    }
    let spooled = spooled?;
    if !spooled.is_empty() {
        seen.kills_with_a_full_spool += 1;
    }
    seen.spooled.extend(spooled);
    Ok(())
}

/// The signals that the dead agent left in its spool.
fn spooled_ids(state: &Path) -> anyhow::Result<Vec<String>> {
    let dir = state.join("spool");
    let batches = inquest_agent::spool::read_unsettled(&dir)
        .with_context(|| format!("failed to read the spool in {}", dir.display()))?;
    let signals = batches.into_iter().flat_map(|batch| batch.signals);
    Ok(signals.map(|signal| signal.id).collect())
}

/// Waits until the agent has shipped all it has.
async fn drained(stack: &mut Stack) -> anyhow::Result<()> {
    let admin = stack.agent()?.admin().clone();
    let deadline = Instant::now() + DRAIN_DEADLINE;
    loop {
        let status = admin.json("/status").await?;
        let batches = status
            .pointer("/spool/batches")
            .and_then(serde_json::Value::as_u64);
        if batches.context("the agent's status tells nothing of its spool")? == 0 {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "the agent still has batches: {status}"
        );
        sleep(LOOK_AGAIN).await;
    }
}

async fn judge(
    stack: &Stack,
    rounds: u32,
    victims: u64,
    seen: &Seen,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let signals = stack.client.signals(&[]).await?;
    let stored: HashMap<&str, u32> = count_ids(&signals);
    let gaps: Vec<_> = signals.iter().filter_map(gap).collect();
    output::line(format_args!(
        "  agent: {rounds} kills, {} of them with signals in the spool ({} in all), {victims} victims, {} signals stored, {} gaps",
        seen.kills_with_a_full_spool,
        seen.spooled.len(),
        signals.len(),
        gaps.len(),
    ));
    proof.keep("agent kills", rounds)?;
    proof.keep("signals in the spool at a kill", seen.spooled.len())?;
    let lost = seen
        .spooled
        .iter()
        .filter(|id| !stored.contains_key(id.as_str()));
    proof.exactly("agent killed: spooled signals lost", lost.count(), 0);
    proof.exactly("agent killed: signals stored twice", doubled(&stored), 0);
    let covered = seen.kills.iter().filter(|kill| {
        gaps.iter()
            .any(|(start, end)| start <= kill && *kill <= end)
    });
    proof.exactly(
        "agent killed: kills inside a gap of coverage",
        covered.count(),
        rounds as usize,
    );
    let nodes = stack.client.nodes().await?;
    let node = nodes.first().context("the node is not known")?;
    let tells = !node.gaps.is_empty();
    proof.exactly("agent killed: the node tells of its gaps", tells, true);
    Ok(())
}

/// The span of a coverage gap.
fn gap(signal: &v1::Signal) -> Option<(Timestamp, Timestamp)> {
    let Some(Body::CoverageGap(gap)) = &signal.body else {
        return None;
    };
    let time = |at: Option<&pbjson_types::Timestamp>| {
        let at = at?;
        Timestamp::new(at.seconds, at.nanos).ok()
    };
    Some((time(gap.start.as_ref())?, time(gap.end.as_ref())?))
}
