//! Goes round the cgroups of the node and samples each about every ten seconds, a few at a time. Runs on a thread that
//! may block; must not hand anything on itself.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use inquest_proto::v1::ResourceUsage;

use super::{
    counters::{Controllers, Counters},
    growth::Growth,
    processes::{self, Waits},
    telling::{Context, is_telling},
};
use crate::{attribute::Place, collect::cgroupfs::CgroupFs};

/// Time in which each cgroup is sampled once, as long as they are few.
pub(super) const ROUND: Duration = Duration::from_secs(10);
/// Cgroups sampled in one step, some 3 ms: with more of them there are more steps to a round, not longer ones.
const BATCH: usize = 32;
/// Shortest time between two steps: with more than 320 cgroups a round takes longer, the cost does not grow.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Rounds from one sample of a pod to the next: its containers tell most of what it would.
const POD_ROUNDS: u64 = 6;
/// Cgroups that are sampled, containers and pods first; with all that is kept of each, 2 MB.
const MAX_SAMPLED: usize = 1024;
/// Time between two samples of a container that say nothing in particular.
const BASELINE: Duration = Duration::from_mins(1);
/// Processes looked at in one cgroup.
const MAX_PIDS: usize = 64;
/// CPU use from which on it is worth asking how long threads waited for one, as a share of the window.
const BUSY: f64 = 0.05;
/// Slopes below this are none.
const MIN_SLOPE_BYTES_PER_SECOND: f64 = 1024.0;

/// Samples the cgroups of the node in turn.
#[derive(Debug)]
pub(super) struct Sampler {
    cgroups: Arc<CgroupFs>,
    controllers: Controllers,
    known: HashMap<u64, Known>,
    /// What is left of this round.
    left: VecDeque<u64>,
    /// How many there were at its begin.
    in_round: usize,
    rounds: u64,
}

/// What is remembered of a cgroup from one sample to the next.
#[derive(Debug)]
struct Known {
    path: Box<str>,
    place: Place,
    before: Option<Reading>,
    growth: Growth,
    /// It used a CPU for more than a moment in its last window.
    is_busy: bool,
    told_ktime_ns: u64,
}

/// What one look at a cgroup found.
#[derive(Debug)]
struct Reading {
    ktime_ns: u64,
    counters: Counters,
    /// Of a cgroup that was busy; empty for others.
    waits: Waits,
}

/// One sample that is to be told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Id of the cgroup in the hierarchy that names processes.
    pub(super) cgroup: u64,
    /// Begin of the window that counters are over; `None` for a first sample, which has none.
    pub(super) start_ktime_ns: Option<u64>,
    pub(super) ktime_ns: u64,
    /// Without its start.
    pub(super) usage: ResourceUsage,
}

impl Sampler {
    /// Prepares to sample what `cgroups` shows.
    pub(super) fn new(cgroups: Arc<CgroupFs>, controllers: Controllers) -> Self {
        Self {
            cgroups,
            controllers,
            known: HashMap::new(),
            left: VecDeque::new(),
            in_round: 0,
            rounds: 0,
        }
    }

    /// Samples the next few cgroups at `ktime_ns`; returns what is worth telling.
    pub(super) fn step(&mut self, ktime_ns: u64) -> Vec<Sample> {
        if self.left.is_empty() {
            self.begin_round();
        }
        let batch = self.left.len().min(BATCH);
        let batch: Vec<u64> = self.left.drain(..batch).collect();
        batch
            .into_iter()
            .filter_map(|id| self.sample(id, ktime_ns))
            .collect()
    }

    /// Returns the time until the next step.
    pub(super) fn pause(&self) -> Duration {
        let steps = self.in_round.div_ceil(BATCH).max(1);
        (ROUND / steps as u32).max(MIN_PAUSE)
    }

    /// Finds the cgroups that there are now and forgets those that are gone.
    fn begin_round(&mut self) {
        let (mut owned, mut others) = (Vec::new(), Vec::new());
        self.cgroups.walk(|id, path| match Place::of(path) {
            Place::Root | Place::InsideContainer => {}
            Place::Other => others.push((id, Box::<str>::from(path))),
            Place::Container | Place::Pod => owned.push((id, Box::from(path))),
        });
        owned.append(&mut others);
        owned.truncate(MAX_SAMPLED);
        let present: HashSet<u64> = owned.iter().map(|(id, _)| *id).collect();
        self.known.retain(|id, _| present.contains(id));
        let with_pods = self.rounds.is_multiple_of(POD_ROUNDS);
        let is_due = |path: &str| with_pods || Place::of(path) != Place::Pod;
        let due = owned.iter().filter(|(_, path)| is_due(path));
        self.left = due.map(|(id, _)| *id).collect();
        self.in_round = self.left.len();
        self.rounds += 1;
        for (id, path) in owned {
            self.known.entry(id).or_insert_with(|| Known::new(path));
        }
    }

    fn sample(&mut self, id: u64, ktime_ns: u64) -> Option<Sample> {
        let known = self.known.get_mut(&id)?;
        let pids = match known.place {
            // Its containers are looked at by themselves.
            Place::Pod => Vec::new(),
            Place::Container => self.cgroups.pids(&known.path, MAX_PIDS),
            _ => self.cgroups.own_pids(&known.path, MAX_PIDS),
        };
        if pids.is_empty() && known.place == Place::Other {
            return None;
        }
        let now = Reading {
            ktime_ns,
            counters: self.controllers.read(&known.path),
            waits: known.waits(&pids),
        };
        let (usage, context) = known.usage(&now, &pids);
        let start_ktime_ns = known.before.as_ref().map(|before| before.ktime_ns);
        known.before = Some(now);
        known.is_busy =
            usage.cpu_usage_ns.unwrap_or(0) as f64 > BUSY * context.window.as_nanos() as f64;
        let is_due = known.place != Place::Other
            && start_ktime_ns.is_some()
            && ktime_ns.saturating_sub(known.told_ktime_ns) >= BASELINE.as_nanos() as u64;
        if !is_due && !is_telling(&usage, context) {
            return None;
        }
        known.told_ktime_ns = ktime_ns;
        Some(Sample {
            cgroup: id,
            start_ktime_ns,
            ktime_ns,
            usage,
        })
    }
}

impl Known {
    fn new(path: Box<str>) -> Self {
        Self {
            place: Place::of(&path),
            path,
            before: None,
            growth: Growth::default(),
            is_busy: false,
            told_ktime_ns: 0,
        }
    }

    /// Returns what the cgroup uses and has used since the sample before.
    fn usage(&mut self, now: &Reading, pids: &[u32]) -> (ResourceUsage, Context) {
        let mut usage = self.counted(&now.counters);
        let mut context = Context {
            window: self.window(now.ktime_ns),
            ..Context::default()
        };
        let memory = &now.counters.memory;
        if let Some(bytes) = memory.bytes {
            let held = bytes.saturating_sub(memory.reclaimable_bytes.unwrap_or(0));
            context.unreclaimable_bytes = Some(held);
            self.growth.push(Duration::from_nanos(now.ktime_ns), held);
            if let Some(slope) = self.growth.slope() {
                context.slope_over = slope.over;
                usage.memory_slope_bytes_per_second = Some(slope.bytes_per_second);
                usage.memory_seconds_left =
                    seconds_left(held, memory.max_bytes, slope.bytes_per_second);
            }
        }
        if let Some(worst) = processes::open_files(pids) {
            usage.open_files = Some(worst.open);
            usage.open_files_max = Some(worst.max);
            usage.open_files_process = Some(worst.process);
        }
        usage.run_queue_delay_ns = self.waited(&now.waits);
        (usage, context)
    }

    /// Fills in what the files told, counters as what was added since the sample before.
    fn counted(&self, now: &Counters) -> ResourceUsage {
        let before = self.before.as_ref().map(|before| &before.counters);
        let since = |of: fn(&Counters) -> Option<u64>| {
            // A counter that went back was reset.
            of(now)?.checked_sub(before.and_then(of)?)
        };
        ResourceUsage {
            memory_bytes: now.memory.bytes,
            memory_max_bytes: now.memory.max_bytes,
            memory_high_events: since(|counters| counters.memory.high_events),
            memory_max_events: since(|counters| counters.memory.max_events),
            oom_events: since(|counters| counters.memory.oom_events),
            oom_kills: since(|counters| counters.memory.oom_kills),
            cpu_usage_ns: since(|counters| counters.cpu.usage_ns),
            cpu_max_millis: now.cpu.max_millis,
            cpu_periods: since(|counters| counters.cpu.periods),
            cpu_throttled_periods: since(|counters| counters.cpu.throttled_periods),
            cpu_throttled_ns: since(|counters| counters.cpu.throttled_ns),
            cpu_pressure: now.cpu.pressure,
            memory_pressure: now.memory.pressure,
            io_pressure: now.memory.io_pressure,
            pids: now.pids.current,
            pids_max: now.pids.max,
            pids_max_events: since(|counters| counters.pids.max_events),
            ..ResourceUsage::default()
        }
    }

    /// Asks how long threads have waited for a CPU, of a cgroup that was busy when it was looked at last.
    fn waits(&self, pids: &[u32]) -> Waits {
        if self.is_busy {
            processes::waits(pids)
        } else {
            Waits::new()
        }
    }

    fn waited(&self, now: &Waits) -> Option<u64> {
        let before = &self.before.as_ref()?.waits;
        let were_asked = !before.is_empty() && !now.is_empty();
        were_asked.then(|| processes::waited_between(before, now))
    }

    fn window(&self, ktime_ns: u64) -> Duration {
        self.before.as_ref().map_or(Duration::ZERO, |before| {
            Duration::from_nanos(ktime_ns.saturating_sub(before.ktime_ns))
        })
    }
}

/// Returns when memory that cannot be dropped reaches the limit.
fn seconds_left(held: u64, max: Option<u64>, slope: f64) -> Option<f64> {
    let room = max?.saturating_sub(held) as f64;
    (slope >= MIN_SLOPE_BYTES_PER_SECOND).then(|| room / slope)
}

#[cfg(test)]
mod tests;
