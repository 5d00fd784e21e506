//! Containers that live for 50 ms and are gone with their cgroup before anyone could look them up: each record about
//! them must name the right container and pod. Truth is the harness's own: it made every cgroup.

use std::collections::{HashMap, HashSet};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use inquest_proto::v1;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::demo::Stage;
use crate::proof::{Proof, percent};
use crate::scratch::Scratch;
use crate::victim;

/// What a container runs: a program of its own for 50 ms, then a failure. Every second one is killed, so that both lanes
/// are used.
const SCRIPTS: [&str; 2] = ["sleep 0.05; exit 3", "sleep 0.05; kill -9 $$"];
/// Signals that each must cause: a removal, an end, a start and an execution. The removal comes last, so it is asked
/// for first: once it is there, the others are.
const KINDS: [&str; 4] = [
    "cgroup_removed",
    "process_exit",
    "container_start",
    "process_exec",
];
/// Containers that live at the same time, as on a node in a restart loop.
const AT_ONCE: usize = 10;
/// Records that may name another container or none.
const WRONG_BAR: f64 = 0.001;
/// Longest wait until all of them are reported.
const REPORT_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between looks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How many containers.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ShortLives {
    /// Containers that live for 50 ms
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
    pub containers: u16,
}

/// How the container runtime names cgroups.
#[derive(Clone, Copy)]
enum Driver {
    Cgroupfs,
    Systemd,
}

/// What a container's cgroup is called, and whom its path must give.
struct Names {
    pod_uid: String,
    container_id: String,
    pod_dir: String,
    container_dir: String,
}

/// The truth about one container that is gone.
struct Container {
    path: String,
    pod_uid: String,
    id: String,
}

impl Names {
    fn new(driver: Driver, number: u16) -> Self {
        let pod_uid = format!("0f6c1b2a-3d4e-5f60-7182-{number:012x}");
        let container_id = format!("{number:064x}");
        let (pod_dir, container_dir) = match driver {
            Driver::Cgroupfs => (format!("pod{pod_uid}"), container_id.clone()),
            Driver::Systemd => (
                format!("kubepods-burstable-pod{}.slice", pod_uid.replace('-', "_")),
                format!("cri-containerd-{container_id}.scope"),
            ),
        };
        Self {
            pod_uid,
            container_id,
            pod_dir,
            container_dir,
        }
    }
}

pub(super) async fn prove(
    lives: ShortLives,
    stage: &Stage,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let truth = live(lives).await?;
    let all = usize::from(lives.containers);
    proof.exactly("containers that lived and were removed", truth.len(), all);
    let reports = reports(stage, &truth).await?;
    for kind in KINDS {
        let told: HashSet<u64> = reports
            .iter()
            .filter(|report| report.kind == kind)
            .map(|report| report.cgroup_id)
            .collect();
        proof.exactly(&format!("short lives with a {kind}"), told.len(), all);
    }
    let wrong = reports.iter().filter(|report| !report.is_right(&truth));
    let share = wrong.count() as f64 / reports.len().max(1) as f64;
    proof.figure("records of short lives", reports.len())?;
    proof.at_most(
        "records with another container or none",
        percent(share),
        WRONG_BAR * 100.0,
    );
    Ok(())
}

/// Makes, runs and removes all containers; returns them by the id of their cgroup.
async fn live(lives: ShortLives) -> anyhow::Result<HashMap<u64, Container>> {
    let root = Scratch::create(None)?;
    let cgroupfs = root.create_child("kubepods", None)?;
    let systemd = root.create_child("kubepods.slice", None)?;
    let mut truth = HashMap::new();
    let numbers: Vec<u16> = (0..lives.containers).collect();
    for together in numbers.chunks(AT_ONCE) {
        let mut running = Vec::new();
        for number in together {
            let (driver, parent) = if number % 4 < 2 {
                (Driver::Cgroupfs, &cgroupfs)
            } else {
                (Driver::Systemd, &systemd)
            };
            running.push(start(Names::new(driver, *number), parent, *number)?);
        }
        for (mut child, id, container, cgroups) in running {
            child.wait().await.context("failed to reap a container")?;
            drop(cgroups);
            truth.insert(id, container);
        }
    }
    drop((systemd, cgroupfs, root));
    Ok(truth)
}

type Running = (tokio::process::Child, u64, Container, [Scratch; 2]);

fn start(names: Names, parent: &Scratch, number: u16) -> anyhow::Result<Running> {
    let pod = parent.create_child(&names.pod_dir, None)?;
    let cgroup = pod.create_child(&names.container_dir, None)?;
    let script = SCRIPTS[usize::from(number) % SCRIPTS.len()];
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    victim::enter(&mut command, &cgroup)?;
    let child = command.spawn().context("failed to start a container")?;
    let container = Container {
        path: cgroup.path(),
        pod_uid: names.pod_uid,
        id: names.container_id,
    };
    // From the innermost outwards, as they can be removed.
    Ok((child, cgroup.id()?, container, [cgroup, pod]))
}

/// One signal about a cgroup of ours.
struct Told {
    kind: &'static str,
    cgroup_id: u64,
    path: String,
    pod_uid: String,
    container_id: String,
}

impl Told {
    fn of(kind: &'static str, signal: v1::Signal) -> Option<Self> {
        let subject = signal.subject?;
        let cgroup = subject.cgroup?;
        Some(Self {
            kind,
            cgroup_id: cgroup.id,
            path: cgroup.path,
            pod_uid: subject.pod_uid,
            container_id: subject.container.unwrap_or_default().id,
        })
    }

    fn is_right(&self, truth: &HashMap<u64, Container>) -> bool {
        truth.get(&self.cgroup_id).is_some_and(|container| {
            self.path == container.path
                && self.pod_uid == container.pod_uid
                && self.container_id == container.id
        })
    }
}

/// All stored signals about our containers, once the last removal is among them or there was time for it.
async fn reports(stage: &Stage, truth: &HashMap<u64, Container>) -> anyhow::Result<Vec<Told>> {
    let deadline = Instant::now() + REPORT_DEADLINE;
    loop {
        let mut reports = Vec::new();
        for kind in KINDS.into_iter().chain(["fatal_signal"]) {
            let signals = stage.client.signals(&[("kind", kind)]).await?;
            let told = signals
                .into_iter()
                .filter_map(|signal| Told::of(kind, signal));
            reports.extend(told.filter(|told| truth.contains_key(&told.cgroup_id)));
        }
        let removed = reports.iter().filter(|told| told.kind == "cgroup_removed");
        if removed.count() >= truth.len() || Instant::now() > deadline {
            return Ok(reports);
        }
        sleep(LOOK_AGAIN).await;
    }
}
