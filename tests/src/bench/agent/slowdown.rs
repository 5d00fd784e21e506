//! How much slower work becomes while somebody watches: each round measures it under every side, so
//! that what the machine does otherwise meets all of them alike.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context as _;
use serde::Serialize;

use super::side::{Side, Watcher};
use crate::bench::median_of;
use crate::binaries::Binaries;
use crate::namespaces::{DropRule, Hook, Link, PEER_ADDRESS};
use crate::output;
use crate::proof::{Proof, Quantity};
use crate::scratch::Scratch;
use crate::victim::{Act, Done, Launcher, Load, Work};

/// Where packets are sent to be dropped.
const DROPPED_PORT: u16 = 9;
const GOOD_BAR: f64 = 1.6;
const FAILED_BAR: f64 = 2.2;
const ON_DEMAND_BAR: f64 = 1.02;
/// What is measured, how it is called, and how often it is done for one figure.
const WORKS: [(Work, &str, u64); 5] = [
    (Work::Succeed, "good syscall", 2_000_000),
    (Work::Fail, "failed syscall", 2_000_000),
    (Work::Exec, "fork and exec", 400),
    (Work::Connect, "loopback connect", 8_000),
    (Work::Send, "dropped packet", 200_000),
];

/// Nanoseconds of CPU time per one of each work.
type Figures = BTreeMap<Work, f64>;
/// What each side's rounds gave.
type Rounds = BTreeMap<Side, Vec<Figures>>;

#[derive(Debug, Serialize)]
struct Row {
    work: &'static str,
    off_ns: f64,
    always_on: f64,
    on_demand: f64,
    bpftrace: f64,
}

/// Measures and judges.
pub(super) async fn prove(
    rounds: u32,
    binaries: &Binaries,
    launcher: &Launcher,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let mut all = Rounds::new();
    for round in 1..=rounds {
        for side in Side::ALL {
            let mut watcher = side.start(binaries).await?;
            let figures = measure(&mut watcher, launcher).await;
            watcher.stop().await?;
            all.entry(side).or_default().push(figures?);
        }
        output::line(format_args!("  round {round} of {rounds}"));
    }
    let rows: Vec<_> = WORKS.iter().map(|work| row(&all, work)).collect();
    let rows = rows.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    show(&rows);
    proof.keep("slowdown", &rows)?;
    judge(&rows, proof);
    Ok(())
}

/// One figure of each work.
async fn measure(watcher: &mut Watcher, launcher: &Launcher) -> anyhow::Result<Figures> {
    let link = Link::create()?;
    DropRule::add(&link.peer, Hook::Input, "udp", DROPPED_PORT)?;
    let cgroup = Scratch::create(None)?;
    watcher.settle().await?;
    let mut figures = Figures::new();
    for (work, name, count) in WORKS {
        let load = Act::Load(Load {
            work,
            count: Some(count),
            rate: None,
            to: Some(SocketAddr::from((PEER_ADDRESS, DROPPED_PORT))),
        });
        let mut loaded = launcher.launch_in(&link.pod, &cgroup, "load", load).await?;
        loaded.release().await?;
        let said = loaded.next_line().await?;
        let done = Done::parse(&said).with_context(|| format!("{name} said `{said}`"))?;
        figures.insert(work, done.ns_each);
    }
    Ok(figures)
}

fn row(all: &Rounds, &(work, name, _): &(Work, &'static str, u64)) -> anyhow::Result<Row> {
    let none = Vec::new();
    let of = |side| all.get(&side).unwrap_or(&none);
    let off = of(Side::Off);
    // Each round's ratio, so that a slow spell of the machine meets both of its figures.
    let ratio = |side| {
        let pairs: Vec<_> = of(side).iter().zip(off).collect();
        median_of(&pairs, |(with, without)| with[&work] / without[&work])
    };
    Ok(Row {
        work: name,
        off_ns: median_of(off, |figures| figures[&work])?,
        always_on: ratio(Side::AlwaysOn)?,
        on_demand: ratio(Side::OnDemand)?,
        bpftrace: ratio(Side::Bpftrace)?,
    })
}

fn show(rows: &[Row]) {
    output::line(format_args!(
        "\n  {:<18} {:>10} {:>10} {:>10} {:>10}",
        "CPU time",
        "off, ns",
        Side::AlwaysOn.name(),
        Side::OnDemand.name(),
        Side::Bpftrace.name()
    ));
    for row in rows {
        output::line(format_args!(
            "  {:<18} {:>10.0} {:>9.2}x {:>9.2}x {:>9.2}x",
            row.work, row.off_ns, row.always_on, row.on_demand, row.bpftrace
        ));
    }
}

fn judge(rows: &[Row], proof: &mut Proof) {
    for row in rows {
        let bar = match row.work {
            "good syscall" => GOOD_BAR,
            "failed syscall" => FAILED_BAR,
            _ => continue,
        };
        let name = |what: &str| format!("{}: {what}", row.work);
        proof.at_most(&name("always-on"), times(row.always_on), bar);
        proof.at_most(
            &name("on-demand, idle"),
            times(row.on_demand),
            ON_DEMAND_BAR,
        );
        if row.work == "good syscall" {
            let name = name("always-on, bpftrace being the bar");
            proof.at_most(&name, times(row.always_on), row.bpftrace);
        }
    }
}

fn times(value: f64) -> Quantity {
    Quantity { value, unit: "x" }
}
