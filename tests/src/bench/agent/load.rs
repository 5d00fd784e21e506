//! What a watcher itself takes while much happens, and whether it tells all of it: what it told and
//! what it says it lost must add up to what was done, by the harness's own count.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::side::{Account, Side, Watcher};
use super::told::Told;
use crate::bench::bpf::RunTimeAccounting;
use crate::binaries::Binaries;
use crate::namespaces::{DropRule, Hook, Link, PEER_ADDRESS};
use crate::output;
use crate::proof::{Proof, mib, percent};
use crate::scratch::Scratch;
use crate::victim::{Act, Done, Launcher, Load, Victim, Work};

/// Start-up work that ends after readiness, such as learning names of places in the kernel, is no part of what a load costs.
const SETTLE: Duration = Duration::from_secs(20);
/// Where packets are sent to be dropped.
const DROPPED_PORT: u16 = 9;
/// Containers, in small.
const CGROUPS: usize = 500;
const IDLE_CPU_BAR_PERCENT: f64 = 0.1;
const IDLE_MEMORY_BAR_MIB: f64 = 40.0;

/// What goes on while the cost is taken.
#[derive(Clone, Copy, Debug)]
struct Condition {
    name: &'static str,
    /// And how much of it a second.
    work: Option<(Work, u64)>,
    cgroups: usize,
}

const CONDITIONS: [Condition; 5] = [
    Condition {
        name: "idle",
        work: None,
        cgroups: 0,
    },
    Condition {
        name: "1,000 exec/s",
        work: Some((Work::Exec, 1_000)),
        cgroups: 0,
    },
    Condition {
        name: "100,000 failed syscalls/s",
        work: Some((Work::Fail, 100_000)),
        cgroups: 0,
    },
    Condition {
        name: "50,000 drops/s",
        work: Some((Work::Send, 50_000)),
        cgroups: 0,
    },
    Condition {
        name: "500 cgroups",
        work: None,
        cgroups: CGROUPS,
    },
];

#[derive(Debug, Serialize)]
struct Row {
    condition: &'static str,
    side: &'static str,
    /// Of one core.
    process: f64,
    programs: f64,
    memory_bytes: u64,
    done: u64,
}

impl Row {
    fn cpu(&self) -> f64 {
        self.process + self.programs
    }
}

/// Measures and judges.
pub(super) async fn prove(
    span: Duration,
    binaries: &Binaries,
    launcher: &Launcher,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let _accounting = RunTimeAccounting::switch_on()?;
    output::line(format_args!(
        "\n  {:<10} {:<26} {:>10} {:>10} {:>10}",
        "", "while", "process", "programs", "memory"
    ));
    let mut rows = Vec::new();
    for side in [Side::AlwaysOn, Side::Bpftrace] {
        let watcher = side.start(binaries).await?;
        sleep(SETTLE).await;
        for condition in CONDITIONS {
            let row = measure(condition, side, &watcher, span, launcher, proof).await?;
            show(&row);
            rows.push(row);
        }
        watcher.stop().await?;
    }
    judge(&rows, proof);
    proof.keep("under load", &rows)
}

fn show(row: &Row) {
    output::line(format_args!(
        "  {:<10} {:<26} {:>10} {:>10} {:>10}",
        row.side,
        row.condition,
        percent(row.process).to_string(),
        percent(row.programs).to_string(),
        mib(row.memory_bytes as f64).to_string(),
    ));
}

fn judge(rows: &[Row], proof: &mut Proof) {
    let idle = |row: &&Row| row.condition == "idle" && row.side == Side::AlwaysOn.name();
    if let Some(idle) = rows.iter().find(idle) {
        proof.at_most(
            "idle CPU, of one core",
            percent(idle.cpu()),
            IDLE_CPU_BAR_PERCENT,
        );
        proof.at_most(
            "idle memory",
            mib(idle.memory_bytes as f64),
            IDLE_MEMORY_BAR_MIB,
        );
    }
}

/// Where a load runs.
struct Place {
    cgroup: Scratch,
    link: Link,
    rule: DropRule,
}

impl Place {
    fn make() -> anyhow::Result<Self> {
        let link = Link::create()?;
        let rule = DropRule::add(&link.peer, Hook::Input, "udp", DROPPED_PORT)?;
        Ok(Self {
            cgroup: Scratch::create(None)?,
            link,
            rule,
        })
    }
}

async fn measure(
    condition: Condition,
    side: Side,
    watcher: &Watcher,
    span: Duration,
    launcher: &Launcher,
    proof: &mut Proof,
) -> anyhow::Result<Row> {
    let place = Place::make()?;
    let neighbors = neighbors(condition.cgroups, launcher).await?;
    let mut told = match (watcher, condition.work) {
        (Watcher::Agent(stack), Some((work, _))) => {
            Some(Told::begin(&stack.client, work, &place.cgroup).await?)
        }
        _ => None,
    };
    let load = start(condition, &place, span, launcher).await?;
    let (since, before) = (Instant::now(), watcher.account()?);
    let done = if let Some(load) = load {
        finish(load).await?
    } else {
        sleep(span).await;
        0
    };
    let (elapsed, after) = (since.elapsed(), watcher.account()?);
    if let Some(told) = &mut told {
        let truth = match condition.work {
            // The rule's own counter, not what was sent.
            Some((Work::Send, _)) => place.rule.dropped(&place.link.peer)?,
            _ => done,
        };
        told.judge(condition.name, truth, proof).await?;
    }
    drop(neighbors);
    Ok(row(condition, side, done, elapsed, before, after))
}

fn row(
    condition: Condition,
    side: Side,
    done: u64,
    elapsed: Duration,
    before: Account,
    after: Account,
) -> Row {
    let fraction = |from: u64, to: u64| to.saturating_sub(from) as f64 / elapsed.as_nanos() as f64;
    Row {
        condition: condition.name,
        side: side.name(),
        process: fraction(before.process_ns, after.process_ns),
        programs: fraction(before.programs_ns, after.programs_ns),
        memory_bytes: after.memory_bytes,
        done,
    }
}

/// Starts what a condition wants to go on.
async fn start(
    condition: Condition,
    place: &Place,
    span: Duration,
    launcher: &Launcher,
) -> anyhow::Result<Option<Victim>> {
    let Some((work, rate)) = condition.work else {
        return Ok(None);
    };
    let load = Act::Load(Load {
        work,
        count: Some(rate * span.as_secs()),
        rate: Some(rate),
        to: Some(SocketAddr::from((PEER_ADDRESS, DROPPED_PORT))),
    });
    let mut load = launcher
        .launch_in(&place.link.pod, &place.cgroup, "load", load)
        .await?;
    load.release().await?;
    Ok(Some(load))
}

/// Waits for its end: how often the work was done.
async fn finish(mut load: Victim) -> anyhow::Result<u64> {
    let said = load.next_line().await?;
    let done = Done::parse(&said).with_context(|| format!("the load said `{said}`"))?;
    Ok(done.count)
}

/// Cgroups with a process each that does nothing. Processes first: they leave before their cgroups go.
async fn neighbors(
    count: usize,
    launcher: &Launcher,
) -> anyhow::Result<(Vec<Victim>, Vec<Scratch>)> {
    let (mut processes, mut cgroups) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let cgroup = Scratch::create(None)?;
        let wait = Act::Wait { hold_mib: 0 };
        processes.push(launcher.launch(&cgroup, "neighbor", wait).await?);
        cgroups.push(cgroup);
    }
    if count > 0 {
        sleep(SETTLE).await;
    }
    Ok((processes, cgroups))
}
