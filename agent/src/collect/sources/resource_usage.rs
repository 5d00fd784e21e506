//! Samples what cgroups use, from their files: on a thread of its own, since reading them may wait for locks of the
//! kernel. Must not keep the collector waiting: what finds no room is dropped and counted.

mod counters;
mod growth;
mod processes;
mod sampler;
mod telling;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use inquest_proto::v1::{self, signal::Body};

use super::Polled;
use crate::{
    attribute::Attributor,
    collect::{
        cgroupfs::CgroupFs,
        clock::ktime_now_ns,
        source::Source,
        worker::{Outlet, Worker},
    },
    loss::Losses,
};
use counters::Controllers;
use sampler::{Sample, Sampler};

pub(super) const POLLED: Polled = Polled {
    name: "cgroup_samples",
    without: "memory growth, CPU throttling, pressure, pids and open files of containers",
};
/// Samples that wait for the collector: all of the largest step, four times.
const MAX_WAITING: usize = 256;
/// Time between two looks at what the thread has left.
const INTERVAL: Duration = Duration::from_secs(1);
/// Where the kernel tells the node's own pressure, if it tells any.
const NODE_PRESSURE: &str = "/proc/pressure/cpu";

/// The collector's end of the sampling thread, which ends when this is dropped.
pub(super) struct ResourceSamples {
    worker: Worker<Sample>,
    /// Never sent to: its end is the word to stop.
    _stop: SyncSender<()>,
}

impl ResourceSamples {
    /// Starts to sample the cgroups that `cgroups` shows. The detail of `status` says what this node does not tell, or
    /// why nothing is sampled.
    pub(super) fn start(cgroups: Arc<CgroupFs>, status: &mut v1::ProbeStatus) -> Option<Self> {
        if !cgroups.is_mounted() {
            status.detail = cgroups.why_not_mounted();
            return None;
        }
        let controllers = Controllers::find(&cgroups);
        status.detail = gaps(cgroups.is_whole(), &controllers).join("; ");
        match Self::spawn(Sampler::new(cgroups, controllers)) {
            Ok(started) => Some(started),
            Err(error) => {
                status.detail = format!("failed to start a thread: {error}");
                None
            }
        }
    }

    fn spawn(sampler: Sampler) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(0);
        let work = move |samples: &Outlet<Sample>| run(sampler, samples, &stopped);
        Ok(Self {
            worker: Worker::start(POLLED.name, MAX_WAITING, work)?,
            _stop: stop,
        })
    }
}

impl Source for ResourceSamples {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        let samples = self.worker.take("resource_samples", losses);
        samples.map(|sample| signal(sample, attributor)).collect()
    }
}

fn run(mut sampler: Sampler, samples: &Outlet<Sample>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(sampler.pause()) == Err(RecvTimeoutError::Timeout) {
        for sample in sampler.step(ktime_now_ns()) {
            samples.hand_on(sample);
        }
    }
}

fn signal(sample: Sample, attributor: &mut Attributor) -> v1::Signal {
    let mut usage = sample.usage;
    usage.start = sample.start_ktime_ns.map(|start| attributor.wall(start));
    attributor.cgroup_signal(
        sample.cgroup,
        sample.ktime_ns,
        Body::ResourceUsage(Box::new(usage)),
    )
}

/// Says what this node does not tell of a cgroup.
fn gaps(is_whole: bool, controllers: &Controllers) -> Vec<&'static str> {
    let mut gaps = Vec::new();
    if !is_whole {
        gaps.push("only a part of the node's cgroups is mounted: mount the node's /sys/fs/cgroup");
    }
    if !controllers.cpu.is_mounted() {
        gaps.push("no cpu controller is mounted");
    }
    if !controllers.pids.is_mounted() {
        gaps.push("no pids controller is mounted");
    }
    if !controllers.cpu.is_unified() {
        gaps.push("cgroup v1 tells no pressure");
    } else if !Path::new(NODE_PRESSURE).try_exists().unwrap_or(false) {
        gaps.push("the kernel tells no pressure; it does when booted with psi=1");
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_so_where_there_is_nothing_to_sample() {
        let nowhere = Arc::new(CgroupFs::find(Path::new("/nonexistent")));
        let mut status = POLLED.missing();
        assert!(ResourceSamples::start(nowhere, &mut status).is_none());
        assert!(
            status.detail.contains("mount the node's /nonexistent"),
            "{}",
            status.detail
        );
    }

    #[test]
    fn ends_its_thread_with_the_collector() {
        let cgroups = Arc::new(CgroupFs::find(Path::new("/nonexistent")));
        let controllers = Controllers::find(&cgroups);
        let started = ResourceSamples::spawn(Sampler::new(cgroups, controllers)).unwrap();
        let ResourceSamples {
            worker,
            _stop: stop,
        } = started;
        drop(stop);
        worker.join();
    }
}
