//! Everything at once, beside the kills that must not be lost: forks, connections, missing files, new
//! destinations and new cgroups as fast as they go. The agent's memory must hold, and what its urgent
//! lane tells must be complete.

use std::collections::BTreeSet;
use std::time::Duration;

use inquest_proto::v1;
use tokio::time::{Instant, sleep};

use super::side::{Side, Watcher};
use crate::binaries::Binaries;
use crate::client::Client;
use crate::namespaces::Namespaces;
use crate::output;
use crate::proof::{Proof, mib};
use crate::scratch::Scratch;
use crate::victim::{Act, Ended, Launcher, Load, Victim, Work};

const SIGKILL: i32 = 9;
/// Of the cgroups in which processes run out of memory.
const LIMIT_BYTES: u64 = 16 << 20;
/// RSS and maps of the agent.
const MEMORY_BAR_MIB: f64 = 96.0;
/// Longest wait until the kills are told.
const REPORT_DEADLINE: Duration = Duration::from_mins(1);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Cgroups made and removed between two kills.
const CHURN: usize = 20;
const WORKS: [Work; 5] = [
    Work::Fail,
    Work::Exec,
    Work::Connect,
    Work::OpenMissing,
    Work::ConnectElsewhere,
];

/// Lets it rage and judges.
pub(super) async fn prove(
    span: Duration,
    binaries: &Binaries,
    launcher: &Launcher,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let watcher = Side::AlwaysOn.start(binaries).await?;
    let storm = Storm::begin(launcher).await?;
    let until = Instant::now() + span;
    let (mut killed, mut memory) = (BTreeSet::new(), 0);
    while Instant::now() < until {
        churn()?;
        killed.insert(kill(launcher).await?);
        memory = memory.max(watcher.account()?.memory_bytes);
    }
    storm.end().await?;
    output::line(format_args!(
        "\n  storm of {span:?}: {} OOM kills meanwhile, the agent at most {}",
        killed.len(),
        mib(memory as f64)
    ));
    if let Watcher::Agent(stack) = &watcher {
        judge(&stack.client, &killed, proof).await?;
    }
    proof.at_most(
        "storm: agent RSS and maps",
        mib(memory as f64),
        MEMORY_BAR_MIB,
    );
    watcher.stop().await
}

async fn judge(client: &Client, killed: &BTreeSet<u32>, proof: &mut Proof) -> anyhow::Result<()> {
    let deadline = Instant::now() + REPORT_DEADLINE;
    let told = loop {
        let signals = client.signals(&[("kind", "oom_kill")]).await?;
        let told: BTreeSet<_> = signals.iter().filter_map(pid).collect();
        if told.is_superset(killed) || Instant::now() > deadline {
            break told;
        }
        sleep(LOOK_AGAIN).await;
    };
    let of_ours = killed.intersection(&told).count();
    proof.exactly("storm: kills told", of_ours, killed.len());
    let nodes = client.nodes().await?;
    let lost = nodes.iter().flat_map(|node| &node.lost);
    let mut urgent = 0;
    for loss in lost {
        output::line(format_args!(
            "  lost: {} {} {} {}: {}",
            loss.stage, loss.reason, loss.kind, loss.cgroup, loss.count
        ));
        // Its ring buffer, and its rate for each cgroup.
        urgent += if loss.reason.contains("urgent") {
            loss.count
        } else {
            0
        };
    }
    proof.exactly("storm: lost in the urgent lane", urgent, 0);
    Ok(())
}

fn pid(signal: &v1::Signal) -> Option<u32> {
    Some(signal.subject.as_ref()?.process.as_ref()?.pid)
}

/// Makes and removes cgroups.
fn churn() -> anyhow::Result<()> {
    let cgroups: Vec<_> = (0..CHURN).map(|_| Scratch::create(None)).collect();
    let cgroups: anyhow::Result<Vec<_>> = cgroups.into_iter().collect();
    cgroups.map(drop)
}

/// Lets a process run out of memory.
async fn kill(launcher: &Launcher) -> anyhow::Result<u32> {
    let cgroup = Scratch::create(Some(LIMIT_BYTES))?;
    let mut hungry = launcher.launch(&cgroup, "hungry", Act::Grow).await?;
    hungry.release().await?;
    let death = hungry.death().await?;
    death.must_be(Ended::Signal(SIGKILL))?;
    Ok(death.pid)
}

/// What rages.
struct Storm {
    victims: Vec<Victim>,
    _cgroup: Scratch,
    _network: Namespaces,
}

impl Storm {
    async fn begin(launcher: &Launcher) -> anyhow::Result<Self> {
        let (cgroup, network) = (Scratch::create(None)?, Namespaces::network()?);
        let mut victims = Vec::new();
        for work in WORKS {
            let load = Act::Load(Load {
                work,
                count: None,
                rate: None,
                to: None,
            });
            let mut victim = launcher.launch_in(&network, &cgroup, "storm", load).await?;
            victim.release().await?;
            victims.push(victim);
        }
        Ok(Self {
            victims,
            _cgroup: cgroup,
            _network: network,
        })
    }

    /// Ends it; fails when some of it had ended by itself.
    async fn end(mut self) -> anyhow::Result<()> {
        for victim in &mut self.victims {
            victim.let_go();
            victim.death().await?.must_be(Ended::Code(0))?;
        }
        Ok(())
    }
}
