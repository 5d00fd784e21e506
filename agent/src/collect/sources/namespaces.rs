//! Samples each network namespace of the node from the files of a process in it: what nothing traces. On a thread of its
//! own, since it visits namespaces and may wait. Must not keep the collector waiting: what finds no room is dropped and
//! counted.

mod counters;
mod listeners;
mod owners;
mod sampler;

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use inquest_proto::v1;
use tokio::time::Instant;

use super::Polled;
use crate::{
    attribute::Attributor,
    collect::{
        cgroupfs::CgroupFs,
        clock::ktime_now_ns,
        source::Source,
        worker::{Dropped, Outlet, Worker},
    },
    loss::Losses,
};
use sampler::{Finding, ROUND, Sampler};

/// Asks whether this kernel lists listening sockets; the error says why not.
pub(crate) fn lists_listeners() -> io::Result<()> {
    listeners::list().map(drop)
}

pub(super) use sampler::PortShortage;

pub(super) const POLLED: Polled = Polled {
    name: "netns_samples",
    without: "full accept queues, a full connection tracking table, used up local ports",
};
/// Findings that wait for the collector.
const MAX_WAITING: usize = 256;
/// Shortages of ports that wait to be looked into; one more of them in the same second says no more.
const MAX_SHORTAGES: usize = 32;
/// Time between two looks at what the thread has found.
const INTERVAL: Duration = Duration::from_secs(1);

/// The collector's end of the sampling thread, which ends when this and all [`ShortageDesk`]s are dropped.
pub(super) struct NamespaceSamples {
    worker: Worker<Finding>,
    desk: ShortageDesk,
}

/// Where a shortage of ports is handed in to be looked into.
#[derive(Clone, Debug)]
pub(super) struct ShortageDesk {
    shortages: SyncSender<PortShortage>,
    dropped: Dropped,
}

impl ShortageDesk {
    /// Hands in a shortage, or counts that there was no room.
    pub(super) fn look_into(&self, shortage: PortShortage) {
        if self.shortages.try_send(shortage).is_err() {
            self.dropped.count();
        }
    }
}

impl NamespaceSamples {
    /// Starts to sample. The detail of `status` says why not.
    pub(super) fn start(cgroups: Arc<CgroupFs>, status: &mut v1::ProbeStatus) -> Option<Self> {
        match Self::spawn(Sampler::new(cgroups)) {
            Ok(started) => Some(started),
            Err(error) => {
                status.detail = format!("failed to start a thread: {error}");
                None
            }
        }
    }

    /// Returns where shortages of ports are handed in.
    pub(super) fn desk(&self) -> ShortageDesk {
        self.desk.clone()
    }

    fn spawn(sampler: Sampler) -> io::Result<Self> {
        let (shortages, asked) = sync_channel(MAX_SHORTAGES);
        let work = move |findings: &Outlet<Finding>| run(sampler, findings, &asked);
        let worker = Worker::start(POLLED.name, MAX_WAITING, work)?;
        let desk = ShortageDesk {
            shortages,
            dropped: worker.dropped(),
        };
        Ok(Self { worker, desk })
    }
}

impl Source for NamespaceSamples {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        let findings = self.worker.take("netns_samples", losses);
        findings
            .map(|finding| signal(finding, attributor))
            .collect()
    }
}

fn run(mut sampler: Sampler, findings: &Outlet<Finding>, asked: &Receiver<PortShortage>) {
    let hand_on = |finding| findings.hand_on(finding);
    let mut due = Instant::now();
    loop {
        match asked.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(shortage) => hand_on(sampler.ports(shortage, ktime_now_ns())),
            Err(RecvTimeoutError::Timeout) => {
                sampler.round(ktime_now_ns()).into_iter().for_each(hand_on);
                due = Instant::now() + ROUND;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn signal(finding: Finding, attributor: &mut Attributor) -> v1::Signal {
    let subject = attributor.netns_subject(finding.netns, finding.cgroup, finding.ktime_ns);
    let mut body = finding.body;
    sampler::set_start(&mut body, attributor.wall(finding.start_ktime_ns));
    attributor.signal(finding.ktime_ns, subject, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_its_thread_with_the_collector_and_all_that_ask() {
        let started = NamespaceSamples::spawn(Sampler::default()).unwrap();
        let NamespaceSamples { worker, desk } = started;
        drop(desk);
        worker.join();
    }
}
