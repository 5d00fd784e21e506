//! Reads what an OOM kill leaves to be read: what the cgroup holds and who else is large. Must be quick and
//! bounded: the processes go on.

use std::sync::Arc;

use inquest_agent_abi::OomKill;
use inquest_proto::v1::ProcessMemory;

use super::{cgroupfs::CgroupFs, clock::ktime_now_ns, procfs, recent_processes::RecentProcesses};
use crate::{
    attribute::{Attributor, OomEpisodes, OomReadings, OomScope, resident_bytes, scope_of},
    decode,
};

/// Processes looked at in a cgroup.
const MAX_CGROUP_PIDS: usize = 512;
/// Processes looked at when the whole node is short of memory.
const MAX_NODE_PIDS: usize = 4096;

/// After this long what a cgroup holds says nothing of the kill any more: in a storm of kills, the next ones
/// are told sooner without.
const STALE_NS: u64 = 500_000_000;

/// Returns whether `kill` is to be told: neither of a victim that was dying of something else, nor the second of
/// one victim.
pub(crate) fn is_told(kill: &OomKill, recent: &mut RecentProcesses) -> bool {
    // A pid alone may be another process's by now.
    kill.was_dying == 0 && (kill.victim_known == 0 || recent.is_new(&kill.victim))
}

/// What is to be read, decided before.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What ran out of memory.
    pub scope: OomScope,
    cgroups: Arc<CgroupFs>,
    /// The limiting cgroup, or the victim's own.
    path: Option<Arc<str>>,
    victim: ProcessMemory,
    victim_known: bool,
    ktime_ns: u64,
}

/// Decides what is to be read after `kill`, and at which level it was out of memory.
pub(crate) fn plan(
    kill: &OomKill,
    attributor: &mut Attributor,
    episodes: &mut OomEpisodes,
    cgroups: Arc<CgroupFs>,
) -> Plan {
    let scope = scope_of(kill, episodes);
    let ktime_ns = kill.header.ktime_ns;
    let chain = decode::chain(kill);
    let id = match scope {
        OomScope::Memcg(index) => chain.get(index).map(|level| level.id),
        OomScope::Global | OomScope::Unknown => Some(attributor.identity(&kill.victim_cgroups)),
    };
    Plan {
        scope,
        cgroups,
        path: id.and_then(|id| attributor.path(id, ktime_ns)),
        victim: ProcessMemory {
            pid: kill.victim.pid,
            comm: decode::text(&kill.victim.comm),
            rss_bytes: resident_bytes(kill),
        },
        victim_known: kill.victim_known == 1,
        ktime_ns,
    }
}

impl Plan {
    /// Reads it, unless it is too late for that. Blocks.
    pub(crate) fn read(self) -> OomReadings {
        let leftover = if self.victim_known {
            None
        } else {
            procfs::leftover(self.victim.pid, self.cgroups.memberships())
        };
        let from_leftover = leftover
            .as_ref()
            .and_then(|leftover| leftover.cgroup.as_deref());
        let path = self.path.as_deref().or(from_leftover);
        if self.age_ns() > STALE_NS {
            return OomReadings {
                leftover,
                ..OomReadings::default()
            };
        }
        // First what changes fastest: the victim is giving its memory back.
        let mut cgroup_stat = path.and_then(|path| self.cgroups.memory_stat(path));
        if let Some(stat) = &mut cgroup_stat {
            stat.read_after_ns = self.age_ns();
        }
        let pids = match (self.scope, path) {
            (OomScope::Global, _) => procfs::all_pids(MAX_NODE_PIDS),
            (_, Some(path)) => self.cgroups.pids(path, MAX_CGROUP_PIDS),
            (_, None) => Vec::new(),
        };
        let top_processes = procfs::top_processes(&pids, self.victim);
        OomReadings {
            cgroup_stat,
            top_processes,
            leftover,
        }
    }

    fn age_ns(&self) -> u64 {
        ktime_now_ns().saturating_sub(self.ktime_ns)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use inquest_agent_abi::RecordKind;

    use super::*;
    use crate::decode::Record;

    fn kill(pid: u32, victim_known: u32, was_dying: u32) -> OomKill {
        let mut bytes = vec![0; size_of::<OomKill>()];
        bytes[..4].copy_from_slice(&RecordKind::OOM_KILL.0.to_ne_bytes());
        let Ok(Record::OomKill(mut kill)) = decode::decode(&bytes) else {
            panic!("no kill")
        };
        kill.victim.pid = pid;
        (kill.victim_known, kill.was_dying) = (victim_known, was_dying);
        *kill
    }

    #[test]
    fn tells_each_victim_once_and_none_that_was_dying() {
        let mut recent = RecentProcesses::default();
        for (case, kill, told) in [
            ("dying of something else", kill(1, 1, 1), false),
            ("killed after all", kill(1, 1, 0), true),
            ("another of its threads", kill(1, 1, 0), false),
            ("another victim", kill(2, 1, 0), true),
            ("known by pid only", kill(1, 0, 0), true),
            ("known by pid only, again", kill(1, 0, 0), true),
        ] {
            assert_eq!(is_told(&kill, &mut recent), told, "{case}");
        }
    }

    #[test]
    fn leaves_out_what_is_too_late_to_read() {
        let plan = |ktime_ns| Plan {
            scope: OomScope::Unknown,
            cgroups: Arc::new(CgroupFs::find(Path::new("/nonexistent"))),
            path: None,
            victim: ProcessMemory {
                pid: 42,
                comm: "worker".to_owned(),
                rss_bytes: 1,
            },
            victim_known: true,
            ktime_ns,
        };
        let now = ktime_now_ns();
        // Dated ahead, so that no delay of the test makes it stale.
        assert_eq!(plan(u64::MAX).read().top_processes.len(), 1);
        let stale = plan(now - STALE_NS - 1).read();
        assert_eq!((stale.cgroup_stat, stale.top_processes), (None, Vec::new()));
    }
}
