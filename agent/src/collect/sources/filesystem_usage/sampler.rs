//! Goes round the containers of the node and looks at the file systems that they have mounted, at once at those of a
//! cgroup whose writes were refused. Runs on a thread that may block; must not hand anything on itself.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use inquest_proto::v1::FilesystemUsage;
use tracing::{debug, warn};

use super::{
    asker::{AskError, Asker},
    capacity::{self, Capacity, Question},
    mounts::{self, Mount},
};
use crate::{
    attribute::Place,
    collect::{cgroupfs::CgroupFs, procfs, write_failures::Refused},
};

/// Time in which the file systems of each cgroup are looked at once, as long as they are few.
const ROUND: Duration = Duration::from_secs(20);
/// Cgroups looked at in one step.
const BATCH: usize = 32;
/// Shortest time between two steps.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Cgroups looked at, containers first.
const MAX_CGROUPS: usize = 1024;
/// File systems of cgroups that are remembered; each takes some 150 bytes.
const MAX_SEEN: usize = 8192;
/// Answers that are remembered, one for each file system; the next one has all of them asked anew.
const MAX_ANSWERS: usize = 8192;
/// How long an answer holds: containers share file systems.
const FRESH_NS: u64 = 1_000_000_000;
/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// Time until a file system that stays full is told again.
const AGAIN_NS: u64 = 300_000_000_000;
/// Shortest time between two signals about refused writes to one file system.
const REFUSED_PAUSE_NS: u64 = 10_000_000_000;
/// Stands for the node, whose own cgroup has no number.
const NODE: u64 = 0;
const NODE_PID: u32 = 1;

/// Looks at file systems in turn.
#[derive(Debug)]
pub(super) struct Sampler {
    cgroups: Arc<CgroupFs>,
    asker: Asker<Question, io::Result<Capacity>>,
    /// All cgroups of this round.
    paths: HashMap<u64, (Box<str>, Place)>,
    /// What is left of this round.
    left: VecDeque<u64>,
    /// Devices that the node itself has mounted.
    node_devices: HashSet<String>,
    answers: HashMap<String, Answer>,
    seen: HashMap<(u64, String), Seen>,
    began_ktime_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    ktime_ns: u64,
    /// `None` when there was none.
    capacity: Option<Capacity>,
}

/// What is remembered of one file system of one cgroup.
#[derive(Clone, Copy, Debug)]
struct Seen {
    was_writable: bool,
    was_full: bool,
    /// Refused since the last signal about them.
    refused: u64,
    /// When counting those began.
    counted_from_ktime_ns: u64,
    told_ktime_ns: Option<u64>,
}

/// One look that is to be told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// In the hierarchy that names processes; `None` when it is the node's own.
    pub(super) cgroup: Option<u64>,
    /// Begin of the window in which writes were counted.
    pub(super) start_ktime_ns: u64,
    pub(super) ktime_ns: u64,
    /// Without its start.
    pub(super) usage: FilesystemUsage,
}

impl Sampler {
    /// Prepares to look at what the processes in `cgroups` have mounted.
    pub(super) fn new(cgroups: Arc<CgroupFs>, ktime_ns: u64) -> Self {
        Self {
            cgroups,
            asker: Asker::new(capacity::ask, DEADLINE),
            paths: HashMap::new(),
            left: VecDeque::new(),
            node_devices: HashSet::new(),
            answers: HashMap::new(),
            seen: HashMap::new(),
            began_ktime_ns: ktime_ns,
        }
    }

    /// Looks at the next few cgroups at `ktime_ns`; returns what is worth telling.
    pub(super) fn step(&mut self, ktime_ns: u64) -> Vec<Sample> {
        let mut told = Vec::new();
        if self.left.is_empty() {
            self.begin_round();
            told = self.look_at_node(ktime_ns);
        }
        let batch = self.left.len().min(BATCH);
        let batch: Vec<u64> = self.left.drain(..batch).collect();
        for id in batch {
            told.append(&mut self.look(id, Refused::default(), ktime_ns));
        }
        told
    }

    /// Looks at the cgroups whose writes were refused, as often as that.
    pub(super) fn look_into(
        &mut self,
        refused: BTreeMap<u64, Refused>,
        ktime_ns: u64,
    ) -> Vec<Sample> {
        // What was known of their file systems is not so any more.
        self.answers.clear();
        let looks = refused.into_iter();
        looks
            .flat_map(|(id, refused)| self.look(id, refused, ktime_ns))
            .collect()
    }

    /// Returns the time between two steps.
    pub(super) fn pause(&self) -> Duration {
        let steps = self.paths.len().div_ceil(BATCH).max(1);
        (ROUND / steps as u32).max(MIN_PAUSE)
    }

    /// Finds the cgroups that there are now and forgets those that are gone.
    fn begin_round(&mut self) {
        let (mut containers, mut others) = (Vec::new(), Vec::new());
        self.cgroups.walk(|id, path| {
            let place = Place::of(path);
            let found = (id, (Box::<str>::from(path), place));
            match place {
                Place::Container => containers.push(found),
                Place::Other => others.push(found),
                // Their processes are in cgroups of their own, or in those of their container.
                Place::Root | Place::Pod | Place::InsideContainer => {}
            }
        });
        containers.append(&mut others);
        containers.truncate(MAX_CGROUPS);
        self.left = containers.iter().map(|(id, _)| *id).collect();
        self.paths = containers.into_iter().collect();
        let paths = &self.paths;
        self.seen
            .retain(|(id, _), _| *id == NODE || paths.contains_key(id));
        self.answers.clear();
    }

    fn look_at_node(&mut self, ktime_ns: u64) -> Vec<Sample> {
        if !procfs::shows_node() {
            // Process 1 is that of the agent's own container then.
            return Vec::new();
        }
        let mounts = mounts::of_process(NODE_PID).unwrap_or_default();
        self.node_devices = mounts.iter().map(|mount| mount.device.clone()).collect();
        let found = self.ask_all(NODE_PID, mounts, ktime_ns);
        self.judge(NODE, found, Refused::default(), ktime_ns)
    }

    fn look(&mut self, id: u64, refused: Refused, ktime_ns: u64) -> Vec<Sample> {
        let Some((pid, place)) = self.process_of(id) else {
            return Vec::new();
        };
        let mut mounts = mounts::of_process(pid).unwrap_or_default();
        if place != Place::Container && refused == Refused::default() {
            // What the node has mounted is told of the node, not of each of its services.
            mounts.retain(|mount| !self.node_devices.contains(&mount.device));
        }
        let found = self.ask_all(pid, mounts, ktime_ns);
        self.judge(id, found, refused, ktime_ns)
    }

    /// Returns one process of a cgroup; one is enough, since the others of a container see the same.
    fn process_of(&self, id: u64) -> Option<(u32, Place)> {
        let (path, place) = if let Some((path, place)) = self.paths.get(&id) {
            (path.clone(), *place)
        } else {
            let path = self.cgroups.path_of(id)?;
            let place = Place::of(&path);
            (path.into_boxed_str(), place)
        };
        let pids = if place == Place::Container {
            self.cgroups.pids(&path, 1)
        } else {
            self.cgroups.own_pids(&path, 1)
        };
        Some((*pids.first()?, place))
    }

    /// Returns the file systems that answer and hold anything.
    fn ask_all(&mut self, pid: u32, mounts: Vec<Mount>, ktime_ns: u64) -> Vec<(Mount, Capacity)> {
        let ask = |mount: Mount| {
            let capacity = self.ask(pid, &mount, ktime_ns)?;
            (capacity.size_bytes > 0).then_some((mount, capacity))
        };
        mounts.into_iter().filter_map(ask).collect()
    }

    fn ask(&mut self, pid: u32, mount: &Mount, ktime_ns: u64) -> Option<Capacity> {
        if let Some(answer) = self.answers.get(&mount.device)
            && ktime_ns.saturating_sub(answer.ktime_ns) < FRESH_NS
        {
            return answer.capacity;
        }
        let question = Question {
            pid,
            mount_point: mount.point.clone(),
        };
        let (device, place) = (&mount.device, &mount.point);
        let capacity = match self.asker.ask(device, question) {
            Ok(Ok(capacity)) => Some(capacity),
            Ok(Err(error)) => {
                debug!(%error, device, place, "failed to ask a file system for its room");
                None
            }
            Err(error @ AskError::Hung) => {
                debug!(%error, device, place, "a file system does not answer");
                None
            }
            Err(error @ AskError::NoThread(_)) => {
                warn!(error = %crate::telemetry::ErrorChain(&error), "file systems are not looked at");
                None
            }
        };
        let answer = Answer { ktime_ns, capacity };
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.clear();
        }
        self.answers.insert(mount.device.clone(), answer);
        capacity
    }

    /// Decides what is worth telling of the file systems of a cgroup.
    fn judge(
        &mut self,
        id: u64,
        found: Vec<(Mount, Capacity)>,
        refused: Refused,
        ktime_ns: u64,
    ) -> Vec<Sample> {
        let no_room = refused_for_room(&found);
        let read_only = self.refused_as_read_only(id, &found);
        let mut told = Vec::new();
        for (index, (mount, capacity)) in found.into_iter().enumerate() {
            let mut count = 0;
            if no_room == Some(index) {
                count += refused.no_room;
            }
            if read_only == Some(index) {
                count += refused.read_only;
            }
            told.extend(self.sample(id, mount, capacity, count, ktime_ns));
        }
        told
    }

    /// Returns which file system refused writes because it is read-only: the one that was writable before, or the only
    /// one. Containers have others that were never meant to be written.
    fn refused_as_read_only(&self, id: u64, found: &[(Mount, Capacity)]) -> Option<usize> {
        let read_only = || {
            found
                .iter()
                .enumerate()
                .filter(|(_, (_, capacity))| capacity.read_only)
        };
        let turned = read_only().find(|(_, (mount, _))| {
            let seen = self.seen.get(&(id, mount.device.clone()));
            seen.is_some_and(|seen| seen.was_writable)
        });
        let only = || {
            (read_only().count() == 1)
                .then(|| read_only().next())
                .flatten()
        };
        turned.or_else(only).map(|(index, _)| index)
    }

    fn sample(
        &mut self,
        id: u64,
        mount: Mount,
        capacity: Capacity,
        refused: u64,
        ktime_ns: u64,
    ) -> Option<Sample> {
        let key = (id, mount.device.clone());
        if self.seen.len() >= MAX_SEEN && !self.seen.contains_key(&key) {
            return None;
        }
        let began = self.began_ktime_ns;
        let seen = self
            .seen
            .entry(key)
            .or_insert_with(|| Seen::new(capacity, began));
        let became_read_only = seen.was_writable && capacity.read_only;
        let start_ktime_ns = seen.counted_from_ktime_ns;
        let failed_writes = seen.look(capacity, refused, ktime_ns)?;
        Some(Sample {
            cgroup: (id != NODE).then_some(id),
            start_ktime_ns,
            ktime_ns,
            usage: FilesystemUsage {
                mount_point: mount.point,
                device: mount.device,
                fs_type: mount.fs_type,
                size_bytes: capacity.size_bytes,
                available_bytes: capacity.available_bytes,
                inodes: capacity.inodes,
                inodes_free: capacity.inodes_free,
                read_only: capacity.read_only,
                became_read_only,
                failed_writes,
                start: None,
            },
        })
    }
}

impl Seen {
    fn new(capacity: Capacity, ktime_ns: u64) -> Self {
        Self {
            was_writable: !capacity.read_only,
            was_full: false,
            refused: 0,
            counted_from_ktime_ns: ktime_ns,
            told_ktime_ns: None,
        }
    }

    /// Takes note of a look; returns the refused writes to tell if the look is worth telling.
    fn look(&mut self, capacity: Capacity, refused: u64, ktime_ns: u64) -> Option<u64> {
        self.refused = self.refused.saturating_add(refused);
        let is_full = capacity.is_nearly_full();
        let turned = self.was_writable == capacity.read_only;
        let filled = is_full && !self.was_full;
        let age = self
            .told_ktime_ns
            .map_or(u64::MAX, |told| ktime_ns.saturating_sub(told));
        self.was_writable = !capacity.read_only;
        self.was_full = is_full;
        let is_told = turned
            || filled
            || (is_full && age >= AGAIN_NS)
            || (self.refused > 0 && age >= REFUSED_PAUSE_NS);
        is_told.then(|| {
            self.told_ktime_ns = Some(ktime_ns);
            self.counted_from_ktime_ns = ktime_ns;
            std::mem::take(&mut self.refused)
        })
    }
}

/// Returns which file system refused writes for want of room: the fullest, if it is used up.
fn refused_for_room(found: &[(Mount, Capacity)]) -> Option<usize> {
    let used_up = found
        .iter()
        .enumerate()
        .filter(|(_, (_, capacity))| capacity.is_used_up() && !capacity.read_only);
    let fullest = used_up.min_by_key(|(_, (_, capacity))| capacity.free_permille())?;
    Some(fullest.0)
}

#[cfg(test)]
mod tests;
