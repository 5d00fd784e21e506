//! What an aggregator was told, and what the kernel says of an agent's memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use inquest_proto::v1;
use inquest_proto::v1::loss::Stage;
use inquest_proto::v1::signal::Body;
use tokio::time::{Instant, sleep};

use crate::aggregator::Aggregator;
use crate::process::{Agent, DEADLINE};

const SIGKILL: u32 = 9;

/// Waits until `condition` holds; it is looked at all the time meanwhile.
pub(crate) async fn eventually(what: &str, condition: impl FnMut() -> bool) {
    within(DEADLINE, what, condition).await;
}

/// As [`eventually`], for what may take longer.
pub(crate) async fn within(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + time;
    while !condition() {
        assert!(Instant::now() < deadline, "not so: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What was told to an aggregator.
pub(crate) struct Seen<'a>(&'a Aggregator);

impl<'a> Seen<'a> {
    /// Looks at what is told to `aggregator`.
    pub(crate) fn of(aggregator: &'a Aggregator) -> Self {
        Self(aggregator)
    }

    /// What the agent said last that it costs.
    pub(crate) fn cost(&self) -> Option<v1::AgentCost> {
        self.0.store().statuses.last()?.cost
    }

    /// What it said last of a probe.
    pub(crate) fn probe(&self, name: &str) -> Option<v1::ProbeStatus> {
        let store = self.0.store();
        let probes = &store.statuses.last()?.probes;
        probes.iter().find(|probe| probe.name == name).cloned()
    }

    /// Deaths by SIGKILL in the cgroup `path`.
    pub(crate) fn deaths_told(&self, path: &str) -> u64 {
        let store = self.0.store();
        let signals = store.batches.iter().flat_map(|batch| &batch.signals);
        let deaths = signals.filter(|signal| {
            let killed =
                matches!(&signal.body, Some(Body::ProcessExit(exit)) if exit.signal == SIGKILL);
            killed && cgroup(signal) == Some(path)
        });
        deaths.count() as u64
    }

    /// Those that were not told, by the agent's own count.
    pub(crate) fn deaths_lost(&self, path: &str) -> u64 {
        self.lost_of("process_exit", path, "cgroup_urgent_rate")
    }

    /// What the agent says that it lost of one kind and cgroup for a reason.
    pub(crate) fn lost_of(&self, kind: &str, path: &str, reason: &str) -> u64 {
        let is =
            |loss: &v1::Loss| loss.kind == kind && loss.cgroup == path && loss.reason == reason;
        self.sum(is)
    }

    /// What it says that it lost at a stage for a reason.
    pub(crate) fn lost(&self, stage: Stage, reason: &str) -> u64 {
        self.sum(|loss| loss.stage() == stage && loss.reason == reason)
    }

    /// Pids of the victims of OOM kills.
    pub(crate) fn oom_kills(&self) -> Vec<u32> {
        let store = self.0.store();
        let signals = store.batches.iter().flat_map(|batch| &batch.signals);
        let kills = signals.filter(|signal| matches!(signal.body, Some(Body::OomKill(_))));
        kills
            .filter_map(|kill| Some(kill.subject.as_ref()?.process.as_ref()?.pid))
            .collect()
    }

    fn sum(&self, is: impl Fn(&v1::Loss) -> bool) -> u64 {
        let store = self.0.store();
        let lost = store.batches.iter().flat_map(|batch| &batch.lost);
        lost.filter(|loss| is(loss)).map(|loss| loss.count).sum()
    }
}

fn cgroup(signal: &v1::Signal) -> Option<&str> {
    Some(&signal.subject.as_ref()?.cgroup.as_ref()?.path)
}

impl Agent {
    /// RSS and maps, by the kernel's account rather than the agent's.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let pid = self.pid().as_raw_pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let rss_kib = number(&status, "VmRSS:").expect("the agent has ended");
        let mut maps = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap() {
            // One that was closed meanwhile is no map's.
            let text = fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            if let (Some(id), Some(bytes)) = (number(&text, "map_id:"), number(&text, "memlock:")) {
                maps.insert(id, bytes);
            }
        }
        rss_kib * 1024 + maps.values().sum::<u64>()
    }
}

/// The number behind a key of a `key: value` text.
fn number(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
