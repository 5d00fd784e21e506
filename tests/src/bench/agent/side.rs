//! Who watches the machine while something is measured: nobody, the agent, or bpftrace. Must be the
//! only one of the harness's.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::{Instant, sleep};

use super::bpftrace::Bpftrace;
use crate::bench::bpf::{self, Cost};
use crate::bench::process;
use crate::binaries::Binaries;
use crate::stack::{ALWAYS_ON, Stack};

/// Configures an agent that attaches what costs much only while it is asked to.
const ON_DEMAND: &str = "probes:\n  mode: on-demand\n";

/// The probe that costs all system calls, and is the first to be let go.
const COSTLY_PROBE: &str = "sys_exit";
/// Longest wait until it is: as long as other cgroups are made on the machine, it may be taken back.
const SETTLE_DEADLINE: Duration = Duration::from_mins(2);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A watcher that a figure is taken under.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Side {
    /// Nobody.
    Off,
    /// The agent, every probe always attached.
    AlwaysOn,
    /// The agent, what costs much attached on demand only; and nobody demands.
    OnDemand,
    /// bpftrace, doing the same jobs.
    Bpftrace,
}

impl Side {
    /// All of them, in the order in which each round goes through them.
    pub(super) const ALL: [Self; 4] = [Self::Off, Self::AlwaysOn, Self::OnDemand, Self::Bpftrace];

    /// How it is called in results.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::AlwaysOn => "always-on",
            Self::OnDemand => "on-demand",
            Self::Bpftrace => "bpftrace",
        }
    }

    /// Starts it and waits until it watches.
    pub(super) async fn start(self, binaries: &Binaries) -> anyhow::Result<Watcher> {
        // The mode is pinned: what is measured must not change it meanwhile.
        let agent = |mode| async move {
            let stack = Stack::start_with(binaries, "", mode).await?;
            anyhow::Ok(Box::new(stack))
        };
        match self {
            Self::Off => Ok(Watcher::Nobody),
            Self::AlwaysOn => Ok(Watcher::Agent(agent(ALWAYS_ON).await?)),
            Self::OnDemand => Ok(Watcher::IdleAgent(agent(ON_DEMAND).await?)),
            Self::Bpftrace => Ok(Watcher::Bpftrace(Bpftrace::start().await?)),
        }
    }
}

/// A side that runs.
#[derive(Debug)]
pub(super) enum Watcher {
    Nobody,
    Agent(Box<Stack>),
    /// Which attaches what costs much on demand only.
    IdleAgent(Box<Stack>),
    Bpftrace(Bpftrace),
}

impl Watcher {
    /// The pid of the process that watches.
    pub(super) fn pid(&self) -> anyhow::Result<Option<u32>> {
        match self {
            Self::Nobody => Ok(None),
            Self::Agent(stack) | Self::IdleAgent(stack) => stack.agent_pid().map(Some),
            Self::Bpftrace(bpftrace) => Ok(Some(bpftrace.pid())),
        }
    }

    /// What it has cost so far.
    pub(super) fn account(&self) -> anyhow::Result<Account> {
        let Some(pid) = self.pid()? else {
            return Ok(Account::default());
        };
        let Cost {
            map_bytes, run_ns, ..
        } = bpf::cost(pid)?;
        Ok(Account {
            process_ns: process::cpu_ns(pid)?,
            programs_ns: run_ns,
            memory_bytes: process::rss_bytes(pid)? + map_bytes,
        })
    }

    /// Waits until it watches as it does while nobody demands more: a new cgroup is watched by everything for some seconds.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        let Self::IdleAgent(stack) = self else {
            return Ok(());
        };
        let admin = stack.agent()?.admin().clone();
        let deadline = Instant::now() + SETTLE_DEADLINE;
        loop {
            let status = admin.json("/status").await?;
            let probes = status["probes"]
                .as_array()
                .context("the agent tells no probes")?;
            let costly = probes.iter().find(|probe| probe["name"] == COSTLY_PROBE);
            if costly.is_some_and(|probe| probe["state"] == "on-demand") {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "`{COSTLY_PROBE}` stays attached: {status}"
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Ends it.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Nobody => Ok(()),
            Self::Agent(stack) | Self::IdleAgent(stack) => stack.stop().await,
            Self::Bpftrace(bpftrace) => {
                drop(bpftrace);
                Ok(())
            }
        }
    }
}

/// What a watcher has cost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Account {
    pub(super) process_ns: u64,
    pub(super) programs_ns: u64,
    /// RSS and maps, at the moment.
    pub(super) memory_bytes: u64,
}
