//! OOM kills that nobody may make on a machine of theirs: at an ancestor's limit, of a whole group, and for want of
//! the node's own memory. Each report is held against the kernel's log.

use std::collections::BTreeSet;

use anyhow::Context as _;
use inquest_proto::v1::{self, OomKill, oom_kill::Scope, signal::Body};

use super::observer::Observer;
use crate::kernel_log::{Constraint, KernelLog, Kills};
use crate::proof::Proof;
use crate::scratch::Scratch;
use crate::victim::{Act, Ended, Launcher, Victim};

const SIGKILL: i32 = 9;
const LIMIT_BYTES: u64 = 32 << 20;
/// Growers that together want more than a guest has: each gives up at 256 MiB.
const GROWERS: usize = 4;
/// Processes of a group beside the one that grows.
const BYSTANDERS: usize = 2;

pub(super) async fn prove(proof: &mut Proof) -> anyhow::Result<()> {
    let mut observer = Observer::start().await?;
    let launcher = Launcher::own()?;
    at_an_ancestor(&launcher, &mut observer, proof).await?;
    of_a_group(&launcher, &mut observer, proof).await?;
    of_the_node(&launcher, &mut observer, proof).await?;
    proof.exactly("oom: observations lost", observer.lost(), 0);
    // Had it been a kill's, the kill would be missing above.
    proof.figure("oom: runs of programs left out", observer.missed_runs())?;
    observer.stop().await
}

/// The limit is two levels above the victim, which has none of its own.
async fn at_an_ancestor(
    launcher: &Launcher,
    observer: &mut Observer,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let outer = Scratch::create(Some(LIMIT_BYTES))?;
    let middle = outer.create_child("middle", None)?;
    let inner = middle.create_child("inner", None)?;
    let mut scene = Scene::open("nested")?;
    let victim = launcher.launch(&inner, "hungry", Act::Grow).await?;
    scene.play(vec![victim]).await?;
    let (outer_path, outer_id) = (outer.path(), outer.id()?);
    let kills = scene.judge(observer, proof, &inner.path()).await?;
    for (kill, said) in kills {
        let limiting = kill
            .limiting
            .and_then(|index| kill.chain.get(index as usize));
        let limiting = limiting.context("no limiting cgroup was reported")?;
        proof.exactly(
            "nested: scope",
            kill.scope().as_str_name(),
            Scope::Memcg.as_str_name(),
        );
        proof.exactly("nested: limiting level", kill.limiting.unwrap_or(0), 2);
        proof.exactly("nested: id of the limiting cgroup", limiting.id, outer_id);
        proof.exactly(
            "nested: its limit",
            limiting.max_bytes.unwrap_or(0),
            LIMIT_BYTES,
        );
        proof.exactly(
            "nested: limiting cgroup by the kernel's log",
            said,
            Constraint::Cgroup(outer_path.clone()),
        );
    }
    Ok(())
}

/// One of the group grows; all of it is killed.
async fn of_a_group(
    launcher: &Launcher,
    observer: &mut Observer,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let group = Scratch::create(Some(LIMIT_BYTES))?;
    group.kill_as_one()?;
    let mut scene = Scene::open("group kill")?;
    let mut victims = vec![launcher.launch(&group, "hungry", Act::Grow).await?];
    for _ in 0..BYSTANDERS {
        let wait = Act::Wait { hold_mib: 1 };
        victims.push(launcher.launch(&group, "bystander", wait).await?);
    }
    scene.play(victims).await?;
    proof.exactly("group kill: killed", scene.killed.len(), 1 + BYSTANDERS);
    for (kill, _) in scene.judge(observer, proof, &group.path()).await? {
        let own = kill.chain.first().context("no cgroup was reported")?;
        proof.exactly("group kill: told as one", own.oom_group, true);
        proof.exactly(
            "group kill: scope",
            kill.scope().as_str_name(),
            Scope::Memcg.as_str_name(),
        );
    }
    Ok(())
}

/// Nobody is at a limit, and there is no memory left.
async fn of_the_node(
    launcher: &Launcher,
    observer: &mut Observer,
    proof: &mut Proof,
) -> anyhow::Result<()> {
    let home = Scratch::create(None)?;
    let mut scene = Scene::open("node")?;
    let mut victims = Vec::new();
    for _ in 0..GROWERS {
        victims.push(launcher.launch(&home, "hungry", Act::Grow).await?);
    }
    scene.play(victims).await?;
    proof.exactly("node: somebody was killed", !scene.killed.is_empty(), true);
    for (kill, said) in scene.judge(observer, proof, &home.path()).await? {
        proof.exactly(
            "node: scope",
            kill.scope().as_str_name(),
            Scope::Global.as_str_name(),
        );
        proof.exactly(
            "node: a cgroup is said to be limiting",
            kill.limiting.is_some(),
            false,
        );
        proof.exactly(
            "node: constraint by the kernel's log",
            said,
            Constraint::None,
        );
    }
    Ok(())
}

/// Victims, and what wait(2) and the kernel's log say of them.
struct Scene {
    name: &'static str,
    log: KernelLog,
    killed: BTreeSet<u32>,
}

impl Scene {
    fn open(name: &'static str) -> anyhow::Result<Self> {
        Ok(Self {
            name,
            log: KernelLog::open_at_end()?,
            killed: BTreeSet::new(),
        })
    }

    /// Lets all victims go at once, and waits for each.
    async fn play(&mut self, mut victims: Vec<Victim>) -> anyhow::Result<()> {
        for victim in &mut victims {
            victim.release().await?;
        }
        for victim in &mut victims {
            let death = victim.death().await?;
            if death.how == Ended::Signal(SIGKILL) {
                self.killed.insert(death.pid);
            }
        }
        Ok(())
    }

    /// Holds the reports against wait(2) and the log; returns each with the constraint that the log has for it.
    async fn judge(
        &mut self,
        observer: &mut Observer,
        proof: &mut Proof,
        cgroup: &str,
    ) -> anyhow::Result<Vec<(OomKill, Constraint)>> {
        let name = self.name;
        let seen = observer
            .until(|seen| reports(seen, &self.killed).len() >= self.killed.len())
            .await;
        let reports = reports(seen, &self.killed);
        let pids: BTreeSet<u32> = reports.iter().map(|(pid, ..)| *pid).collect();
        proof.exactly(
            &format!("{name}: victims reported"),
            list(&pids),
            list(&self.killed),
        );
        let twice = reports.len() - pids.len();
        proof.exactly(&format!("{name}: victims reported twice"), twice, 0);
        let at_home = reports.iter().filter(|(_, path, _)| path == cgroup).count();
        proof.exactly(
            &format!("{name}: reports with the right cgroup"),
            at_home,
            reports.len(),
        );
        let log = self.log.kills()?;
        let logged: BTreeSet<u32> = log.by_pid.keys().copied().collect();
        proof.exactly(
            &format!("{name}: victims by the kernel's log"),
            list(&logged),
            list(&self.killed),
        );
        Ok(with_constraints(reports, log))
    }
}

/// The constraint is logged once for each decision; who dies along with the chosen one shares it.
fn with_constraints(
    reports: Vec<(u32, String, OomKill)>,
    log: &Kills,
) -> Vec<(OomKill, Constraint)> {
    let shared = log.constraints.values().next().cloned().unwrap_or_default();
    let constraint = |pid: u32| log.constraints.get(&pid).cloned().unwrap_or(shared.clone());
    let with = |(pid, _, kill)| (kill, constraint(pid));
    reports.into_iter().map(with).collect()
}

/// Pid, cgroup and kill of each report about one of `pids`.
fn reports(seen: &[v1::Signal], pids: &BTreeSet<u32>) -> Vec<(u32, String, OomKill)> {
    let report = |signal: &v1::Signal| {
        let Some(Body::OomKill(kill)) = &signal.body else {
            return None;
        };
        let subject = signal.subject.as_ref()?;
        let pid = subject.process.as_ref()?.pid;
        let cgroup = subject.cgroup.as_ref()?;
        pids.contains(&pid)
            .then(|| (pid, cgroup.path.clone(), kill.clone()))
    };
    seen.iter().filter_map(report).collect()
}

fn list(pids: &BTreeSet<u32>) -> String {
    let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
    pids.join(" ")
}
