//! The maps in which the scheduler's hooks count. Must not judge what they hold.

use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use inquest_agent_abi::{
    ThreadWait, WaitKey, WaitPeer, WaitReason, WaitTotal, WatchedCgroup, names,
};
use tracing::debug;

use super::super::super::ring_buffer::{OpenError, take};

/// The maps.
pub(super) struct WaitMaps {
    watched: HashMap<MapData, u64, WatchedCgroup>,
    threads: HashMap<MapData, u32, ThreadWait>,
    totals: HashMap<MapData, WaitKey, WaitTotal>,
}

/// The time that a thread spent for one reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Spent {
    /// The thread, 0 when it is not told apart.
    pub(super) tid: u32,
    /// Its process.
    pub(super) pid: u32,
    /// Why.
    pub(super) reason: WaitReason,
    /// All of it.
    pub(super) total_ns: u64,
    /// The longest stay.
    pub(super) longest_ns: u64,
    /// In the longest stay.
    pub(super) peer: WaitPeer,
    /// The thread is there now.
    pub(super) is_open: bool,
}

impl WaitMaps {
    /// Takes the maps out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        Ok(Self {
            watched: open(ebpf, names::WATCHED)?,
            threads: open(ebpf, names::THREADS)?,
            totals: open(ebpf, names::WAITS)?,
        })
    }

    /// Has the threads of cgroup `id` counted from now on.
    pub(super) fn watch(&mut self, id: u64, since_ktime_ns: u64) -> Result<(), MapError> {
        let watched = WatchedCgroup {
            since_ktime_ns,
            overflows: 0,
        };
        self.watched.insert(id, watched, 0)
    }

    /// Has no more threads of cgroup `id` taken up; `None` when it was not watched.
    pub(super) fn unwatch(&mut self, id: u64) -> Option<WatchedCgroup> {
        let watched = self.watched.get(&id, 0).ok();
        if let Err(error) = self.watched.remove(&id) {
            debug!(%error, "failed to take a cgroup out of those watched");
        }
        watched
    }

    /// Takes out what was counted for cgroup `id`, with what its threads have been doing until `ended_ktime_ns`.
    pub(super) fn take(&mut self, id: u64, began_ktime_ns: u64, ended_ktime_ns: u64) -> Vec<Spent> {
        let mut counted = self.take_open(id, began_ktime_ns, ended_ktime_ns);
        counted.extend(self.take_totals(id));
        counted
    }

    fn take_open(&mut self, id: u64, began_ktime_ns: u64, ended_ktime_ns: u64) -> Vec<Spent> {
        let open: Vec<(u32, ThreadWait)> = self
            .threads
            .iter()
            .flatten()
            .filter(|(_, thread)| thread.cgroup == id)
            .collect();
        open.into_iter()
            .map(|(tid, thread)| {
                // The map may have forgotten it meanwhile.
                let _removed = self.threads.remove(&tid);
                let since = thread.since_ktime_ns.max(began_ktime_ns);
                let stay_ns = ended_ktime_ns.saturating_sub(since);
                Spent {
                    tid,
                    pid: thread.pid,
                    reason: thread.reason,
                    total_ns: stay_ns,
                    longest_ns: stay_ns,
                    peer: thread.peer,
                    is_open: true,
                }
            })
            .collect()
    }

    fn take_totals(&mut self, id: u64) -> Vec<Spent> {
        let totals: Vec<(WaitKey, WaitTotal)> = self
            .totals
            .iter()
            .flatten()
            .filter(|(key, _)| key.cgroup == id)
            .collect();
        totals
            .into_iter()
            .map(|(key, total)| {
                // Nobody else takes them out.
                let _removed = self.totals.remove(&key);
                Spent {
                    tid: key.tid,
                    pid: total.pid,
                    reason: key.reason,
                    total_ns: total.total_ns,
                    longest_ns: total.longest_ns,
                    peer: total.peer,
                    is_open: false,
                }
            })
            .collect()
    }
}

fn open<K: aya::Pod, V: aya::Pod>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<HashMap<MapData, K, V>, OpenError> {
    HashMap::try_from(take(ebpf, name)?).map_err(|source| OpenError::Map { name, source })
}
