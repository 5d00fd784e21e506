//! Reads the failed calls that the kernel side kept of a cgroup, when one of its processes ends, and keeps room for those of
//! new cgroups. Must not pick among them.

use std::time::Duration;

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use inquest_agent_abi::{LAST_WORDS, LastWords as Words, ProcessExit, names};
use tokio::time::Instant;

use super::ring_buffer::{OpenError, open_map};
use crate::attribute::{Attributor, FailedBefore};

/// The cgroup of whatever was put into none: what its processes do has nothing in common.
const ROOT: &str = "/";
/// Time between two looks at how much room there is, which take as long as a system call for each cgroup.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);
/// Cgroups with which the map is too full: an eighth of it is room for those that begin to fail until the next look.
const TOO_FULL: usize = LAST_WORDS as usize / 8 * 7;
/// Cgroups that are then forgotten, so that this is rare: looking for them reads all words.
const FORGOTTEN: usize = LAST_WORDS as usize / 8;

/// The map of last words.
pub(super) struct LastWords {
    map: HashMap<MapData, u64, Words>,
    looked: Instant,
}

impl LastWords {
    /// Takes the map out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        Ok(Self {
            map: open_map(ebpf, names::LAST_WORDS)?,
            looked: Instant::now(),
        })
    }

    /// Returns what failed in the cgroup of a process before that ended.
    pub(super) fn before(&self, exit: &ProcessExit, attributor: &mut Attributor) -> FailedBefore {
        let cgroup = attributor.identity(&exit.cgroups);
        let Ok(words) = self.map.get(&cgroup, 0) else {
            // Nothing of interest has failed there, or it was forgotten.
            return FailedBefore::default();
        };
        let path = attributor.path(cgroup, exit.header.ktime_ns);
        let alone = path.as_deref().is_none_or(|path| path == ROOT);
        FailedBefore::new(&words, exit, alone)
    }

    /// Forgets the cgroups that were quiet for longest when there is little room, if it is time to look.
    pub(super) fn make_room_if_due(&mut self) {
        if self.looked.elapsed() < ROOM_INTERVAL {
            return;
        }
        self.looked = Instant::now();
        let cgroups: Vec<u64> = self.map.keys().flatten().collect();
        if cgroups.len() <= TOO_FULL {
            return;
        }
        let last_call = |cgroup: &u64| self.map.get(cgroup, 0).map_or(0, |words| last_call(&words));
        for cgroup in quietest(cgroups, last_call) {
            // Nobody else takes any out.
            let _removed = self.map.remove(&cgroup);
        }
    }
}

/// Returns when the last of the calls failed, 0 when none did.
fn last_call(words: &Words) -> u64 {
    let calls = words.calls.iter().map(|call| call.ktime_ns);
    calls.max().unwrap_or(0)
}

/// Returns the cgroups that are to be forgotten, by when the last call of each failed.
fn quietest(mut cgroups: Vec<u64>, last_call: impl Fn(&u64) -> u64) -> Vec<u64> {
    cgroups.sort_by_cached_key(last_call);
    cgroups.truncate(FORGOTTEN);
    cgroups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_cgroups_that_were_quiet_for_longest() {
        // The higher the id, the longer ago.
        let forgotten = quietest((1..=1000).collect(), |cgroup| 5000 - cgroup);
        assert_eq!(forgotten.len(), FORGOTTEN);
        assert!(
            forgotten
                .iter()
                .all(|cgroup| *cgroup > 1000 - FORGOTTEN as u64)
        );
    }
}
