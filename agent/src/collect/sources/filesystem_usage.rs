//! Looks at the file systems that containers have mounted: on a thread of its own, since a file system may not answer.
//! Must not keep the collector waiting: what finds no room is dropped and counted.

mod asker;
mod capacity;
mod mounts;
mod sampler;

use std::{
    fs, io,
    sync::{Arc, mpsc::RecvTimeoutError},
    time::Duration,
};

use inquest_proto::v1::{self, signal::Body};
use tokio::time::Instant;

use super::Polled;
use crate::{
    attribute::Attributor,
    collect::{
        cgroupfs::CgroupFs,
        clock::ktime_now_ns,
        procfs,
        source::Source,
        worker::{Outlet, Worker},
        write_failures::{WriteFailureReader, WriteFailures},
    },
    loss::Losses,
    privileges::Privileges,
};
use sampler::{Sample, Sampler};

pub(super) const POLLED: Polled = Polled {
    name: "filesystem_samples",
    without: "file systems of containers that fill up or turn read-only",
};
/// Samples that wait for the collector, several of each container of a large node.
const MAX_WAITING: usize = 1024;
/// Time between two looks at what the thread has left.
const INTERVAL: Duration = Duration::from_secs(1);
/// Whoever may look at this may look into the file systems of any process.
const OTHER_ROOT: &str = "/proc/1/root/";

/// The collector's end of the thread that looks.
pub(super) struct FilesystemSamples {
    worker: Worker<Sample>,
    /// The thread lives as long as somebody may tell it of refused writes.
    _failures: WriteFailures,
}

impl FilesystemSamples {
    /// Starts to look at what processes in `cgroups` have mounted, at once where `reader` tells of refused writes.
    pub(super) fn start(
        cgroups: Arc<CgroupFs>,
        (failures, reader): (WriteFailures, WriteFailureReader),
        privileges: Privileges,
        status: &mut v1::ProbeStatus,
    ) -> Option<Self> {
        if !cgroups.is_mounted() {
            status.detail = cgroups.why_not_mounted();
            return None;
        }
        // What is not granted is told elsewhere.
        let is_granted = privileges.holds_capability("CAP_SYS_PTRACE") && procfs::shows_node();
        if is_granted && let Err(error) = fs::metadata(OTHER_ROOT) {
            status.detail = format!(
                "no look at the node's first process, nor at others that a security module protects: {error}"
            );
        }
        match Self::spawn(Sampler::new(cgroups, ktime_now_ns()), reader, failures) {
            Ok(started) => Some(started),
            Err(error) => {
                status.detail = format!("failed to start a thread: {error}");
                None
            }
        }
    }

    fn spawn(
        sampler: Sampler,
        reader: WriteFailureReader,
        failures: WriteFailures,
    ) -> io::Result<Self> {
        let work = move |samples: &Outlet<Sample>| run(sampler, &reader, samples);
        Ok(Self {
            worker: Worker::start(POLLED.name, MAX_WAITING, work)?,
            _failures: failures,
        })
    }
}

impl Source for FilesystemSamples {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        let samples = self.worker.take("filesystem_samples", losses);
        samples.map(|sample| signal(sample, attributor)).collect()
    }
}

fn run(mut sampler: Sampler, reader: &WriteFailureReader, samples: &Outlet<Sample>) {
    let mut due = Instant::now();
    loop {
        let left = due.saturating_duration_since(Instant::now());
        let told = match reader.nudges.recv_timeout(left) {
            Ok(()) => sampler.look_into(reader.take(), ktime_now_ns()),
            Err(RecvTimeoutError::Timeout) => {
                let told = sampler.step(ktime_now_ns());
                due = Instant::now() + sampler.pause();
                told
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        for sample in told {
            samples.hand_on(sample);
        }
    }
}

fn signal(sample: Sample, attributor: &mut Attributor) -> v1::Signal {
    let mut usage = sample.usage;
    usage.start = Some(attributor.wall(sample.start_ktime_ns));
    let body = Body::FilesystemUsage(usage);
    match sample.cgroup {
        Some(id) => attributor.cgroup_signal(id, sample.ktime_ns, body),
        None => attributor.node_signal(sample.ktime_ns, body),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::collect::write_failures::write_failures;

    #[test]
    fn says_so_where_there_is_nothing_to_look_at() {
        let nowhere = Arc::new(CgroupFs::find(Path::new("/nonexistent")));
        let mut status = POLLED.missing();
        let started =
            FilesystemSamples::start(nowhere, write_failures(), Privileges::read(), &mut status);
        assert!(started.is_none());
        assert!(
            status.detail.contains("mount the node's /nonexistent"),
            "{}",
            status.detail
        );
    }

    #[test]
    fn ends_its_thread_with_the_last_who_could_tell_it_anything() {
        let (failures, reader) = write_failures();
        let nowhere = Arc::new(CgroupFs::find(Path::new("/nonexistent")));
        let sampler = Sampler::new(nowhere, 0);
        let started = FilesystemSamples::spawn(sampler, reader, failures).unwrap();
        let FilesystemSamples {
            worker,
            _failures: failures,
        } = started;
        drop(failures);
        worker.join();
    }
}
