//! What the kernel side counts of calls that a security policy refused, taken out of its map once a second. Must not
//! judge what was refused.

use std::{collections::BTreeMap, time::Duration};

use aya::{Ebpf, maps::MapError};
use inquest_agent_abi::{Counted, DenialKey, names};
use inquest_proto::v1::{self, loss::Stage};
use tracing::debug;

use crate::{
    attribute::{Attributor, Refused, Window},
    collect::{
        clock::ktime_now_ns,
        counted::{CountedPerCpuMap, Generations},
        ring_buffer::OpenError,
        source::Source,
    },
    loss::Losses,
};

/// Time between two readings, and so the length of a window.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is counted of refused calls.
pub(crate) struct Refusals {
    generations: Generations,
    denials: CountedPerCpuMap<DenialKey>,
    /// When the windows of the generation before and of the present one began.
    began_ktime_ns: [u64; 2],
}

impl Refusals {
    /// Takes the map out of `ebpf`.
    pub(crate) fn open(ebpf: &mut Ebpf, generations: Generations) -> Result<Self, OpenError> {
        let which = Counted::Denials;
        Ok(Self {
            generations,
            denials: CountedPerCpuMap::open(ebpf, which, names::DENIALS)?,
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

    fn try_read(&mut self, attributor: &mut Attributor) -> Result<Vec<v1::Signal>, MapError> {
        let window = self.next_window();
        let mut by_cgroup: BTreeMap<u64, Vec<Refused>> = BTreeMap::new();
        for (key, count) in self.denials.drain(&mut self.generations)? {
            let refused = by_cgroup.entry(key.cgroup).or_default();
            refused.push(Refused {
                call: key.call,
                by: key.refuser,
                count,
            });
        }
        let signals = by_cgroup.into_iter();
        Ok(signals
            .map(|(cgroup, refused)| attributor.refusals_signal(cgroup, window, refused))
            .collect())
    }
}

impl Source for Refusals {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        let read = self
            .generations
            .uncounted_since(Counted::Denials)
            .and_then(|uncounted| {
                losses.add(Stage::RingBuffer, "denial_map", uncounted);
                self.try_read(attributor)
            });
        read.unwrap_or_else(|error| {
            debug!(%error, "failed to read the counts of refused calls");
            Vec::new()
        })
    }
}
