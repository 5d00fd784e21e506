//! Many OOM kills at once in many cgroups: each must be reported once, with its own cgroup. Truth is
//! taken three times: by wait, from the cgroups' counters, from the kernel's log.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::demo::Stage;
use crate::kernel_log::KernelLog;
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim::{Act, Death, Ended, Victim};

const SIGKILL: i32 = 9;
const LIMIT_BYTES: u64 = 16 << 20;
/// Longest wait until all kills are reported.
const REPORT_DEADLINE: Duration = Duration::from_secs(30);
/// Time given to a second report of a kill to arrive, which there must not be.
const SECOND_REPORT_GRACE: Duration = Duration::from_secs(2);
/// The kernel sends SIGKILL first and writes its line after; the victim may be quicker.
const LOG_DEADLINE: Duration = Duration::from_secs(5);
/// Wrong reports that are shown whole; more of them say no more.
const MAX_SHOWN: usize = 3;
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How many at once.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Storm {
    /// Cgroups with a limit.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub cgroups: u16,
    /// Victims in each.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub victims: u16,
}

/// What the harness itself knows.
struct Truth {
    deaths: Vec<Death>,
    /// Path and id of the cgroup of each victim.
    homes: HashMap<u32, (String, u64)>,
    counted_by_cgroups: u64,
    counted_by_log: usize,
    log_overruns: u64,
}

pub(super) async fn prove(storm: Storm, stage: &Stage, proof: &mut Proof) -> anyhow::Result<()> {
    let truth = unleash(storm, stage).await?;
    let all = usize::from(storm.cgroups) * usize::from(storm.victims);
    let killed = |death: &&Death| death.how == Ended::Signal(SIGKILL);
    proof.exactly(
        "killed, by wait",
        truth.deaths.iter().filter(killed).count(),
        all,
    );
    proof.exactly(
        "killed, by the cgroups' counters",
        truth.counted_by_cgroups,
        all as u64,
    );
    proof.exactly("killed, by the kernel's log", truth.counted_by_log, all);
    proof.exactly("records of the log missed", truth.log_overruns, 0);

    let reports = reports(&stage.client, &truth).await?;
    let per_victim = count(&reports);
    proof.exactly("victims reported", per_victim.len(), all);
    let twice = per_victim.values().filter(|count| **count > 1).count();
    proof.exactly("victims reported twice", twice, 0);
    let at_home = reports.iter().filter(|signal| is_at_home(signal, &truth));
    proof.exactly("reports with the right cgroup", at_home.count(), all);
    let (limited, others): (Vec<_>, Vec<_>) = reports.iter().partition(|s| names_own_limit(s));
    for other in others.iter().take(MAX_SHOWN) {
        // What the kernel had at the kill: without it nobody can tell what went wrong.
        proof.figure("wrong limit", inquest_api::signal::to_json(other)?)?;
    }
    proof.exactly("reports with the right limit", limited.len(), all);
    Ok(())
}

async fn unleash(storm: Storm, stage: &Stage) -> anyhow::Result<Truth> {
    let mut cgroups = Vec::new();
    let mut victims = Vec::new();
    let mut homes = HashMap::new();
    for _ in 0..storm.cgroups {
        let cgroup = Scratch::create(Some(LIMIT_BYTES))?;
        for _ in 0..storm.victims {
            let victim = stage.launcher.launch(&cgroup, "hungry", Act::Grow).await?;
            homes.insert(victim.pid(), (cgroup.path(), cgroup.id()?));
            victims.push(victim);
        }
        cgroups.push(cgroup);
    }
    let mut log = KernelLog::open_at_end()?;
    let deaths = tokio::select! {
        deaths = release_all(victims) => deaths?,
        failed = log.follow() => return Err(failed.err().context("the kernel log ended")?),
    };
    let counters: Vec<u64> = cgroups
        .iter()
        .map(Scratch::oom_kills)
        .collect::<Result<_, _>>()?;
    Ok(Truth {
        counted_by_cgroups: counters.iter().sum(),
        counted_by_log: count_in_log(&mut log, &homes).await?,
        log_overruns: log.kills()?.overruns,
        deaths,
        homes,
    })
}

/// How many of our victims the kernel's log names, once it names all or has had its time.
async fn count_in_log(
    log: &mut KernelLog,
    homes: &HashMap<u32, (String, u64)>,
) -> anyhow::Result<usize> {
    let deadline = Instant::now() + LOG_DEADLINE;
    loop {
        let named = log.kills()?.by_pid.keys();
        let ours = named.filter(|pid| homes.contains_key(pid)).count();
        if ours >= homes.len() || Instant::now() > deadline {
            return Ok(ours);
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Lets all victims go at once and collects their deaths.
async fn release_all(victims: Vec<Victim>) -> anyhow::Result<Vec<Death>> {
    let mut dying = JoinSet::new();
    for mut victim in victims {
        dying.spawn(async move {
            victim.release().await?;
            victim.death().await
        });
    }
    let mut deaths = Vec::new();
    while let Some(death) = dying.join_next().await {
        deaths.push(death??);
    }
    Ok(deaths)
}

/// All stored OOM kills of our victims, once there is one of each and time for a second.
async fn reports(client: &Client, truth: &Truth) -> anyhow::Result<Vec<v1::Signal>> {
    let deadline = Instant::now() + REPORT_DEADLINE;
    while count(&ours(client, truth).await?).len() < truth.homes.len() {
        if Instant::now() > deadline {
            break;
        }
        sleep(LOOK_AGAIN).await;
    }
    sleep(SECOND_REPORT_GRACE).await;
    ours(client, truth).await
}

async fn ours(client: &Client, truth: &Truth) -> anyhow::Result<Vec<v1::Signal>> {
    let mut signals = client.signals(&[("kind", "oom_kill")]).await?;
    signals.retain(|signal| pid(signal).is_some_and(|pid| truth.homes.contains_key(&pid)));
    Ok(signals)
}

fn count(reports: &[v1::Signal]) -> HashMap<u32, usize> {
    let mut count = HashMap::new();
    for pid in reports.iter().filter_map(pid) {
        *count.entry(pid).or_default() += 1;
    }
    count
}

fn pid(signal: &v1::Signal) -> Option<u32> {
    Some(signal.subject.as_ref()?.process.as_ref()?.pid)
}

fn is_at_home(signal: &v1::Signal, truth: &Truth) -> bool {
    let home = pid(signal).and_then(|pid| truth.homes.get(&pid));
    let cgroup = signal.subject.as_ref().and_then(|s| s.cgroup.as_ref());
    match (home, cgroup) {
        (Some((path, id)), Some(cgroup)) => cgroup.path == *path && cgroup.id == *id,
        _ => false,
    }
}

/// The victim's own cgroup was the one at its limit.
fn names_own_limit(signal: &v1::Signal) -> bool {
    let Some(Body::OomKill(kill)) = &signal.body else {
        return false;
    };
    let own = kill.chain.first();
    kill.limiting == Some(0) && own.is_some_and(|own| own.max_bytes == Some(LIMIT_BYTES))
}
