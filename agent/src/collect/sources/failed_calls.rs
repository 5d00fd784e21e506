//! What the kernel side counts of failed system calls and of refused forks, taken out of its maps once a second. Must
//! not judge what failed.

use std::{collections::BTreeMap, time::Duration};

use aya::{Ebpf, maps::MapError};
use inquest_agent_abi::{Counted, FailureKey, RefusedForks, RefusedForksKey, names};
use inquest_proto::v1::{self, loss::Stage};
use tracing::debug;

use crate::{
    attribute::{Attributor, Failures, Window},
    collect::{
        clock::ktime_now_ns,
        counted::{CountedMap, CountedPerCpuMap, Generations},
        ring_buffer::OpenError,
        source::Source,
        write_failures::WriteFailures,
    },
    loss::Losses,
};

/// Time between two readings, and so the length of a window.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is counted of failed calls.
pub(crate) struct FailedCalls {
    generations: Generations,
    failures: CountedPerCpuMap<FailureKey>,
    forks: CountedMap<RefusedForksKey, RefusedForks>,
    write_failures: WriteFailures,
    /// When the windows of the generation before and of the present one began.
    began_ktime_ns: [u64; 2],
}

impl FailedCalls {
    /// Takes the maps out of `ebpf`; refused writes are told to `write_failures`, too.
    pub(crate) fn open(
        ebpf: &mut Ebpf,
        generations: Generations,
        write_failures: WriteFailures,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            generations,
            failures: CountedPerCpuMap::open(ebpf, Counted::Failures, names::FAILURES)?,
            forks: CountedMap::open(ebpf, Counted::RefusedForks, names::FORKS_REFUSED)?,
            write_failures,
            began_ktime_ns: [ktime_now_ns(); 2],
        })
    }

    /// Returns the window of what is taken out now: of the generation before.
    fn next_window(&mut self) -> Window {
        let [start_ktime_ns, end_ktime_ns] = self.began_ktime_ns;
        self.began_ktime_ns = [end_ktime_ns, ktime_now_ns()];
        Window {
            start_ktime_ns,
            end_ktime_ns,
        }
    }

    fn take_failures(&mut self) -> Result<BTreeMap<u64, Failures>, MapError> {
        let mut by_cgroup: BTreeMap<u64, Failures> = BTreeMap::new();
        for (key, count) in self.failures.drain(&mut self.generations)? {
            let failures = by_cgroup.entry(key.cgroup).or_default();
            failures.push((key.call, key.errno.into(), count));
            self.write_failures.add(key.cgroup, key.errno.into(), count);
        }
        Ok(by_cgroup)
    }

    /// Adds what found no room in the maps to `losses`.
    fn count_uncounted(&mut self, losses: &mut Losses) {
        for (which, reason) in [
            (Counted::Failures, "failure_map"),
            (Counted::RefusedForks, "refused_fork_map"),
            (Counted::LastWords, "last_words_map"),
        ] {
            match self.generations.uncounted_since(which) {
                Ok(count) => losses.add(Stage::RingBuffer, reason, count),
                Err(error) => debug!(%error, reason, "failed to read what was not counted"),
            }
        }
    }

    fn try_read(&mut self, attributor: &mut Attributor) -> Result<Vec<v1::Signal>, MapError> {
        let window = self.next_window();
        let mut signals = Vec::new();
        for (cgroup, failures) in self.take_failures()? {
            signals.push(attributor.failures_signal(cgroup, window, failures));
        }
        for (key, forks) in self.forks.drain(&mut self.generations)? {
            signals.push(attributor.refused_forks_signal(key.cgroup, &forks));
        }
        Ok(signals)
    }
}

impl Source for FailedCalls {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        self.count_uncounted(losses);
        self.try_read(attributor).unwrap_or_else(|error| {
            debug!(%error, "failed to read the counts of failed calls");
            Vec::new()
        })
    }
}
