//! `inquest-agent self-test`: makes each signal happen in a scratch cgroup and looks whether this agent's own
//! probes and collector tell it. Must leave nothing behind, and must not print.

pub mod actor;
mod block_io;
mod cgroup;
mod check;
mod daemon_exit;
mod denials;
mod dns;
mod drop;
mod exec;
mod exit;
mod failed_calls;
mod filesystem;
mod icmp;
mod leftovers;
mod link;
mod namespaces;
mod neighbor;
mod oom;
mod report;
mod resources;
mod scene;
mod scratch;
mod signal;
mod socket_drop;
mod tcp;
mod wait_profile;
mod watch;

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, bail};
use inquest_proto::v1::{ProbeStatus, probe_status::State};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    collect::{Collector, CollectorError, FileCollector},
    probes::{self, Hook, Loaded, ProbeConfig},
    run::Stop,
    ship::MAX_OBSERVED,
};
use check::{Check, NotPossible};
use leftovers::Leftovers;
use scratch::Scratch;
use watch::Watch;

pub use report::{Outcome, Report, Verdict};

/// Every check, in the order in which they begin. A new signal's check stands in the file of its family.
const CHECKS: &[&Check] = &[
    &oom::CHECK,
    &exit::CHECK,
    &exec::CHECK,
    &signal::CHECK,
    &cgroup::CHECK,
    &cgroup::START,
    &cgroup::REMOVAL,
    &resources::CHECK,
    &filesystem::CHECK,
    &drop::CHECK,
    &socket_drop::CHECK,
    &neighbor::CHECK,
    &icmp::SENT,
    &icmp::RECEIVED,
    &tcp::REFUSED,
    &tcp::UNANSWERED,
    &tcp::RESET_SENT,
    &tcp::RESET_RECEIVED,
    &dns::UNANSWERED,
    &dns::ANSWERED,
    &namespaces::LISTEN_OVERFLOW,
    &namespaces::PORTS,
    &wait_profile::CHECK,
    &daemon_exit::CHECK,
    &block_io::CHECK,
    &failed_calls::COUNTED,
    &failed_calls::LAST_WORDS,
    &failed_calls::EXEC,
    &failed_calls::FORK,
    &denials::SECCOMP_KILL,
    &denials::SECCOMP_ERRNO,
    &denials::CAPABILITY,
];

/// Checks that are made at the same time: most of them wait, and each alone would take its windows in turn.
const MAX_AT_ONCE: usize = 4;

/// Probes without a check of their own, each with the probe whose check cannot pass without it.
#[cfg(test)]
const PROVEN_WITH: [(&str, &str); 4] = [
    ("sched_switch", "task_iter"),
    ("sched_wakeup", "task_iter"),
    ("block_rq_issue", "block_rq_complete"),
    ("cap_capable", "sys_exit"),
];

/// What no check provokes: nobody may set a node's clock for a test, and only lines of the kernel's own are believed.
#[cfg(test)]
const UNPROVOKED: [&str; 2] = ["clock", "kernel_log"];

/// Checks whose signal a hook does not tell, by its nature, though the probe is attached by it; and why.
const BLIND: [(&str, Hook, &str); 6] = [
    (block_io::CHECK.name, Hook::Tracepoint, WITHOUT_REQUEST),
    (failed_calls::EXEC.name, Hook::Tracepoint, WITHOUT_ARGUMENTS),
    (
        failed_calls::LAST_WORDS.name,
        Hook::Tracepoint,
        WITHOUT_ARGUMENTS,
    ),
    (
        denials::SECCOMP_KILL.name,
        Hook::Tracepoint,
        WITHOUT_ARGUMENTS,
    ),
    (
        denials::CAPABILITY.name,
        Hook::Tracepoint,
        WITHOUT_ARGUMENTS,
    ),
    (denials::SECCOMP_ERRNO.name, Hook::Fexit, WITHOUT_FUNCTION),
];
const WITHOUT_FUNCTION: &str =
    "a call that a filter refuses does not come to the function whose return is seen";
const WITHOUT_REQUEST: &str = "a plain tracepoint does not tell for whom a thread of the kernel issues a request, as those of loop devices do before 6.12";
const WITHOUT_ARGUMENTS: &str = "a plain tracepoint does not tell what a call was given";

/// What to test, and how to tell.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How to print what came of it
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Make only this check; may be given more than once
    #[arg(long, value_name = "CHECK", value_parser = check_names())]
    pub only: Vec<String>,
    /// Attach the probes by this hook alone
    #[arg(long, value_parser = parse_hook)]
    pub hook: Option<Hook>,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum OutputFormat {
    /// A line for each check, for people.
    #[default]
    Table,
    /// One document, for programs.
    Json,
}

impl Options {
    fn checks(&self) -> impl Iterator<Item = &'static Check> {
        let is_asked = |check: &&Check| {
            self.only.is_empty() || self.only.iter().any(|name| name == check.name)
        };
        CHECKS.iter().copied().filter(is_asked)
    }

    fn probes(&self) -> ProbeConfig {
        let mut config = ProbeConfig::default();
        if let Some(hook) = self.hook {
            config.hooks = vec![hook];
        }
        config
    }
}

fn check_names() -> clap::builder::PossibleValuesParser {
    CHECKS
        .iter()
        .map(|check| check.name)
        .collect::<Vec<_>>()
        .into()
}

fn parse_hook(name: &str) -> Result<Hook, String> {
    let found = Hook::LADDER.into_iter().find(|hook| hook.name() == name);
    found.ok_or_else(|| {
        format!(
            "no such hook; one of {}",
            Hook::LADDER.map(Hook::name).join(", ")
        )
    })
}

/// Makes all checks and hands each outcome to `tell` as soon as it is known.
///
/// # Errors
///
/// Fails when nothing could be tested, or when SIGTERM or SIGINT asks it to end; a check that fails is an
/// outcome.
pub async fn run(options: &Options, tell: impl FnMut(&Outcome)) -> anyhow::Result<Report> {
    let mut stop = Stop::listen()?;
    tokio::select! {
        report = test(options, tell) => report,
        // What the test holds is dropped here: its actor is killed, its cgroup removed.
        name = stop.told() => bail!("ended by {name} before all checks were made"),
    }
}

async fn test(options: &Options, mut tell: impl FnMut(&Outcome)) -> anyhow::Result<Report> {
    let config = options.probes();
    let cgroup_root = config.cgroup_root.clone();
    let loaded = tokio::task::spawn_blocking(move || probes::load(&config))
        .await
        .context("failed to load the probes")?;
    let mut report = Report::new(&loaded);
    let mut add = |outcome: Outcome| {
        tell(&outcome);
        report.outcomes.push(outcome);
    };
    let leftovers = Leftovers::take(&cgroup_root).context("failed to note what was loaded")?;
    let Loaded {
        probes,
        collector,
        files,
        ..
    } = loaded;
    let observing = Observing::start(collector, files);
    let room = Arc::new(Semaphore::new(MAX_AT_ONCE));
    // Aborted when it is dropped: nothing outlives a test that is asked to end.
    let mut making = JoinSet::new();
    for check in options.checks() {
        let status = probes.iter().find(|probe| check.probe == Some(&probe.name));
        let attempt = Attempt {
            check,
            status: status.cloned(),
            cgroup_root: cgroup_root.clone(),
            watch: Arc::clone(&observing.watch),
        };
        let room = Arc::clone(&room);
        making.spawn(async move {
            let _place = room.acquire().await;
            attempt.make().await
        });
    }
    while let Some(made) = making.join_next().await {
        add(made.context("a check panicked")?);
    }
    observing.stop().await?;
    let began = Instant::now();
    let gone = leftovers.are_gone().await;
    add(Outcome::of_leftovers(gone, began.elapsed()));
    Ok(report)
}

/// Why a check cannot be made, as its probe's status has it.
fn obstacle(check: &Check, status: Option<&ProbeStatus>) -> Option<String> {
    let name = check.probe?;
    let Some(status) = status else {
        return Some(format!("this agent has no probe `{name}`"));
    };
    match status.state() {
        State::Attached | State::OnDemand => blind_spot(check, &status.hook),
        _ => Some(format!("probe `{name}` is not attached: {}", status.detail)),
    }
}

/// Why the hook of a check's probe does not tell its signal.
fn blind_spot(check: &Check, hook: &str) -> Option<String> {
    let is_it =
        |(name, blind, _): &&(&str, Hook, &str)| *name == check.name && blind.name() == hook;
    BLIND.iter().find(is_it).map(|(.., why)| (*why).to_owned())
}

/// One check and what it needs.
struct Attempt {
    check: &'static Check,
    status: Option<ProbeStatus>,
    cgroup_root: PathBuf,
    watch: Arc<Watch>,
}

impl Attempt {
    async fn make(self) -> Outcome {
        let began = Instant::now();
        let verdict = match obstacle(self.check, self.status.as_ref()) {
            Some(why) => Err(NotPossible(why).into()),
            None => self.prove().await,
        };
        Outcome::new(self.check, self.status.as_ref(), verdict, began.elapsed())
    }

    /// Acts until its signal is found: again only when something was lost, which may have been it.
    async fn prove(&self) -> anyhow::Result<()> {
        let lost_before = self.watch.lost();
        match self.act_and_look().await {
            Err(_untold) if self.watch.lost() > lost_before => self.act_and_look().await,
            verdict => verdict,
        }
    }

    /// Acts in a place of its own, and looks for the signal of it.
    async fn act_and_look(&self) -> anyhow::Result<()> {
        let scratch = Scratch::create(&self.cgroup_root, self.check.place.limits)?;
        let began = self.watch.now();
        let verdict = match scene::play(self.check, &scratch).await {
            Ok(deed) => self.watch.find(self.check, &deed, began).await,
            Err(error) => Err(error),
        };
        // What could not be removed is the worse news.
        scratch.remove()?;
        verdict
    }
}

/// The collector at work, and what it hands on.
struct Observing {
    collector: JoinHandle<Result<(), CollectorError>>,
    shutdown: CancellationToken,
    watch: Arc<Watch>,
}

impl Observing {
    fn start(collector: Option<Collector>, files: Option<FileCollector>) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_OBSERVED);
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let collector = tokio::spawn(async move {
            match (collector, files) {
                (Some(collector), _) => collector.run(sender, token).await,
                (None, Some(files)) => files.run(sender, token).await,
                // The checks of what needs no probe are told that nothing is observed.
                (None, None) => Ok(()),
            }
        });
        let watch = Arc::new(Watch::default());
        // Ends with the collector, whose end of the channel is the only one.
        tokio::spawn({
            let watch = Arc::clone(&watch);
            async move { watch.keep(receiver).await }
        });
        Self {
            collector,
            shutdown,
            watch,
        }
    }

    /// Detaches the probes.
    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.collector
            .await
            .context("the collector panicked")?
            .context("the collector ended early")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_probe_that_exists() {
        let mut names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
        for check in CHECKS {
            if let Some(probe) = check.probe {
                assert!(probes::names().any(|name| name == probe), "{probe}");
            }
        }
    }

    #[test]
    fn every_probe_is_proven_by_a_check() {
        for probe in probes::names().filter(|name| !UNPROVOKED.contains(name)) {
            let other = PROVEN_WITH.iter().find(|(name, _)| *name == probe);
            let proven = other.map_or(probe, |(_, with)| with);
            let proves = |check: &&&Check| check.probe == Some(proven);
            assert!(CHECKS.iter().any(|check| proves(&check)), "{probe}");
        }
    }

    #[test]
    fn a_probe_that_is_not_attached_makes_its_check_impossible_and_says_why() {
        let mut status = ProbeStatus {
            detail: "tp_btf: operation not permitted".to_owned(),
            ..ProbeStatus::default()
        };
        status.set_state(State::Missing);
        let why = obstacle(&oom::CHECK, Some(&status)).unwrap();
        assert!(why.contains("operation not permitted"), "{why}");
        status.set_state(State::Attached);
        assert_eq!(obstacle(&oom::CHECK, Some(&status)), None);
        Hook::Tracepoint.name().clone_into(&mut status.hook);
        assert!(obstacle(&failed_calls::EXEC, Some(&status)).is_some());
        assert_eq!(obstacle(&failed_calls::COUNTED, Some(&status)), None);
        assert!(obstacle(&oom::CHECK, None).is_some());
    }
}
