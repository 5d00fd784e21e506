//! Reads the failed calls that the kernel side kept of a cgroup, when one of its processes ends. Must not pick among
//! them.

use aya::{
    Ebpf,
    maps::{HashMap, MapData},
};
use inquest_agent_abi::{LastWords as Words, ProcessExit, names};

use super::ring_buffer::{OpenError, open_map};
use crate::attribute::{Attributor, FailedBefore};

/// The cgroup of whatever was put into none: what its processes do has nothing in common.
const ROOT: &str = "/";

/// The map of last words.
pub(super) struct LastWords(HashMap<MapData, u64, Words>);

impl LastWords {
    /// Takes the map out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        open_map(ebpf, names::LAST_WORDS).map(Self)
    }

    /// Returns what failed in the cgroup of a process before that ended.
    pub(super) fn before(&self, exit: &ProcessExit, attributor: &mut Attributor) -> FailedBefore {
        let cgroup = attributor.identity(&exit.cgroups);
        let Ok(words) = self.0.get(&cgroup, 0) else {
            // Nothing of interest has failed there, or it was forgotten.
            return FailedBefore::default();
        };
        let path = attributor.path(cgroup, exit.header.ktime_ns);
        let alone = path.as_deref().is_none_or(|path| path == ROOT);
        FailedBefore::new(&words, exit, alone)
    }
}
