//! The aggregator is killed while agents load it: every acked signal must be stored exactly once, and
//! every OOM kill must count once in its incident.

use std::collections::HashMap;
use std::time::Duration;

use testkit::agent::{self, Delivered, Load};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::moments::Moments;
use super::{count_ids, doubled};
use crate::binaries::Binaries;
use crate::output;
use crate::proof::Proof;
use crate::stack::Stack;

/// Several, so that one commit holds batches of more than one.
const AGENTS: u64 = 3;
const SIGNALS_PER_BATCH: u64 = 20;
/// Incidents are written with the signals, though far fewer of them.
const OOM_EVERY: u64 = 50;
/// Pause of each agent between batches: a few thousand signals a second in all.
const BATCH_PAUSE: Duration = Duration::from_millis(10);
/// From ready to the kill.
const SHORTEST_LIFE: Duration = Duration::from_millis(20);
const LONGEST_LIFE: Duration = Duration::from_millis(600);
/// Longest wait for the rest to be acked at the end.
const DRAIN_DEADLINE: Duration = Duration::from_mins(1);

pub(super) async fn prove(
    binaries: &Binaries,
    rounds: u32,
    mut moments: Moments,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let mut stack = Stack::aggregator_only(binaries, "").await?;
    let loads: Vec<Load> = (1..=AGENTS).map(|number| load(&stack, number)).collect();
    let (stop, stopped) = watch::channel(false);
    let mut agents = JoinSet::new();
    for load in &loads {
        let (load, stopped) = (load.clone(), stopped.clone());
        agents.spawn(async move { (load.start_id, agent::run(load, stopped).await) });
    }
    for _ in 0..rounds {
        sleep(moments.within(SHORTEST_LIFE, LONGEST_LIFE)).await;
        stack.aggregator.kill().await?;
        stack.aggregator.start_again().await?;
    }
    stop.send_replace(true);
    let mut delivered = HashMap::new();
    while let Some(ended) = agents.join_next().await {
        let (start_id, result) = ended?;
        delivered.insert(start_id, result?);
    }
    judge(&stack, rounds, &loads, &delivered, proof).await?;
    stack.stop().await
}

fn load(stack: &Stack, number: u64) -> Load {
    Load {
        url: stack.ingest_url(),
        agent_id: format!("agent-{number}"),
        start_id: number,
        signals_per_batch: SIGNALS_PER_BATCH,
        oom_every: OOM_EVERY,
        pause: BATCH_PAUSE,
        drain_deadline: DRAIN_DEADLINE,
    }
}

async fn judge(
    stack: &Stack,
    rounds: u32,
    loads: &[Load],
    delivered: &HashMap<u64, Delivered>,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let total = |figure: fn(&Delivered) -> u64| delivered.values().map(figure).sum::<u64>();
    let signals = stack.client.signals(&[]).await?;
    let stored = count_ids(&signals);
    output::line(format_args!(
        "  aggregator: {rounds} kills, {} streams, {} batches acked, {} sent again, {} signals stored",
        total(|d| d.connections),
        total(|d| d.acked),
        total(|d| d.resent),
        signals.len(),
    ));
    let mut lost = 0_u64;
    for load in loads {
        let acked = delivered.get(&load.start_id).map_or(0, |d| d.acked);
        let missing = agent::ids(load, acked).filter(|id| !stored.contains_key(id.as_str()));
        lost += missing.count() as u64;
    }
    let made = total(|d| d.made);
    proof.keep("aggregator kills", rounds)?;
    proof.keep("batches acked", total(|d| d.acked))?;
    proof.keep("batches sent again", total(|d| d.resent))?;
    proof.exactly("aggregator killed: acked signals lost", lost, 0);
    proof.exactly(
        "aggregator killed: signals stored twice",
        doubled(&stored),
        0,
    );
    proof.exactly(
        "aggregator killed: welcomes that forgot an ack",
        total(|d| d.forgotten),
        0,
    );
    proof.exactly(
        "aggregator killed: batches acked in the end",
        total(|d| d.acked),
        made,
    );
    let expected = made * SIGNALS_PER_BATCH;
    proof.exactly(
        "aggregator killed: signals stored",
        signals.len() as u64,
        expected,
    );
    let kills = stack.client.signals(&[("kind", "oom_kill")]).await?.len() as u64;
    let incidents = stack.client.incidents().await?;
    let counted: u64 = incidents.iter().map(|incident| incident.occurrences).sum();
    proof.exactly(
        "aggregator killed: OOM kills counted in incidents",
        counted,
        kills,
    );
    Ok(())
}
