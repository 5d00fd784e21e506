//! What the kernel side shed because a cgroup was beyond its rate, counted by kind and cgroup. Must not limit anything.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use aya::Ebpf;
use inquest_agent_abi::{Counted, Lane, RateKey, names};
use inquest_proto::v1::{self, loss::Stage};
use tracing::debug;

use crate::{
    attribute::Attributor,
    collect::{
        clock::ktime_now_ns,
        counted::{CountedMap, Generations},
        ring_buffer::OpenError,
        source::Source,
    },
    decode::kind_word,
    loss::Losses,
};

/// Time between two readings: as often as losses are handed on.
const INTERVAL: Duration = Duration::from_millis(500);
/// Cgroups that are named in the life of an agent. A flood comes from a few; those beyond are counted without a name, and
/// always the same ones are, so that sums of batches and totals agree.
const MAX_NAMED: usize = 64;

/// The reason of a loss by the rate of its cgroup, for each lane.
const REASONS: [(Lane, &str); 2] = [
    (Lane::Urgent, "cgroup_urgent_rate"),
    (Lane::Bulk, "cgroup_rate"),
];

/// What was shed.
pub(super) struct RateLimits {
    generations: Generations,
    shed: CountedMap<RateKey, u64>,
    named: BTreeSet<Arc<str>>,
}

impl RateLimits {
    /// Takes the map out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf, generations: Generations) -> Result<Self, OpenError> {
        Ok(Self {
            generations,
            shed: CountedMap::open(ebpf, Counted::Shed, names::SHED)?,
            named: BTreeSet::new(),
        })
    }

    fn count(&mut self, attributor: &mut Attributor, losses: &mut Losses) {
        let counted = match self.shed.drain(&mut self.generations) {
            Ok(counted) => counted,
            Err(error) => return debug!(%error, "failed to read what was beyond a rate"),
        };
        let now = ktime_now_ns();
        for (key, count) in counted {
            let cgroup = attributor.path(key.cgroup, now);
            losses.add_loss(&v1::Loss {
                stage: Stage::RateLimit.into(),
                reason: reason(key.lane).to_owned(),
                count,
                kind: kind_word(key.kind).to_owned(),
                cgroup: cgroup.map_or_else(String::new, |path| self.name(path)),
            });
        }
    }

    /// Returns `path` if it is or can be among those that are named.
    fn name(&mut self, path: Arc<str>) -> String {
        if self.named.len() < MAX_NAMED {
            self.named.insert(Arc::clone(&path));
        }
        self.named
            .get(&path)
            .map_or_else(String::new, ToString::to_string)
    }
}

impl Source for RateLimits {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        self.count(attributor, losses);
        Vec::new()
    }

    /// Twice: once for each generation.
    fn finish(&mut self, attributor: &mut Attributor, losses: &mut Losses) {
        self.count(attributor, losses);
        self.count(attributor, losses);
    }
}

fn reason(lane: u16) -> &'static str {
    let of_lane = REASONS.iter().find(|(known, _)| *known as u16 == lane);
    of_lane.map_or("cgroup_rate", |(_, reason)| reason)
}
