//! Tells whom a network namespace belongs to, by the cgroups that were seen in it. Never guesses: one that belongs to
//! several, such as the node's own, belongs to nobody here.

use inquest_proto::v1;

use super::{Attributor, cgroup_path, lru_map::LruMap};
use crate::collect::procfs;

/// Namespaces remembered; more than a node runs pods.
const MAX_NAMESPACES: usize = 4096;
/// Cgroups told apart in one namespace. A pod has a few; one with more is the node's own, or as good as.
const MAX_CGROUPS: usize = 32;
/// Processes looked at in a search for the owners of a namespace that nothing is known of.
const MAX_PROCESSES: usize = 20_000;
/// Time between two such searches, by the records' clock: each takes some 10 us a process.
const SEARCH_INTERVAL_NS: u64 = 5_000_000_000;

/// How long a namespace still belongs to a cgroup that is gone, counted from when it was last seen there. The kernel
/// gives the inode of a namespace that is gone to the next one.
const MEMORY_OF_DEAD_NS: u64 = 60_000_000_000;

/// The cgroups that have been seen in each network namespace, by its inode.
#[derive(Debug)]
pub(super) struct NetnsOwners {
    namespaces: LruMap<u32, Owners>,
    searched_ktime_ns: Option<u64>,
}

#[derive(Debug, Default)]
struct Owners {
    cgroups: Vec<u64>,
    /// There were more than can be told apart.
    many: bool,
    learned_ktime_ns: u64,
}

impl Default for NetnsOwners {
    fn default() -> Self {
        Self {
            namespaces: LruMap::new(MAX_NAMESPACES),
            searched_ktime_ns: None,
        }
    }
}

impl NetnsOwners {
    /// Remembers `cgroup`; returns the owners of the namespace when it is a new one of several.
    fn insert(&mut self, netns: u32, cgroup: u64, ktime_ns: u64) -> Option<&mut Owners> {
        if !self.namespaces.contains(&netns) {
            self.namespaces.insert(netns, Owners::default());
        }
        let owners = self.namespaces.get_mut(&netns)?;
        owners.learned_ktime_ns = ktime_ns;
        if owners.many || owners.cgroups.contains(&cgroup) {
            return None;
        }
        if owners.cgroups.len() >= MAX_CGROUPS {
            owners.many = true;
            owners.cgroups = Vec::new();
            return None;
        }
        owners.cgroups.push(cgroup);
        (owners.cgroups.len() > 1).then_some(owners)
    }
}

impl Attributor {
    /// Remembers that a process of `cgroup` is in the network namespace `netns`.
    pub(crate) fn learn_netns(&mut self, netns: u32, cgroup: u64, ktime_ns: u64) {
        if netns == 0 || cgroup == 0 {
            return;
        }
        if let Some(owners) = self.netns.insert(netns, cgroup, ktime_ns) {
            // What is gone with a namespace must not share the next one of that inode.
            let cgroups = &self.cgroups;
            owners
                .cgroups
                .retain(|seen| *seen == cgroup || cgroups.path_of(*seen).is_some());
        }
    }

    /// Returns whom something in a network namespace is about: `cgroup` where that is known (not 0), else the one
    /// container or pod that the namespace belongs to; empty when it is none, or several.
    pub(crate) fn netns_subject(&mut self, netns: u32, cgroup: u64, ktime_ns: u64) -> v1::Subject {
        if cgroup != 0 {
            self.learn_netns(netns, cgroup, ktime_ns);
            return self.cgroup_subject(cgroup, ktime_ns);
        }
        if netns == 0 {
            return v1::Subject::default();
        }
        if !self.netns.namespaces.contains(&netns) {
            self.search_namespaces(ktime_ns);
        }
        let owners = self.living_owners(netns, ktime_ns);
        let subjects: Vec<v1::Subject> = owners
            .into_iter()
            .map(|cgroup| self.cgroup_subject(cgroup, ktime_ns))
            .collect();
        common(&subjects)
    }

    /// Returns the cgroups that a namespace may belong to, none when it is too many. Those that are gone still count for
    /// a while: packets of the dead are dropped, too.
    fn living_owners(&mut self, netns: u32, ktime_ns: u64) -> Vec<u64> {
        let Some(owners) = self.netns.namespaces.get_mut(&netns) else {
            return Vec::new();
        };
        if ktime_ns.saturating_sub(owners.learned_ktime_ns) > MEMORY_OF_DEAD_NS {
            let cgroups = &self.cgroups;
            owners
                .cgroups
                .retain(|seen| cgroups.path_of(*seen).is_some());
        }
        owners.cgroups.clone()
    }

    /// Returns the subject of a cgroup, without a process.
    pub(crate) fn cgroup_subject(&mut self, cgroup: u64, ktime_ns: u64) -> v1::Subject {
        let cgroup = self.cgroup(cgroup, ktime_ns);
        let owner = cgroup
            .as_ref()
            .map(|cgroup| cgroup_path::owner(&cgroup.path))
            .unwrap_or_default();
        v1::Subject {
            cgroup,
            container: owner.container,
            pod_uid: owner.pod_uid.unwrap_or_default(),
            process: None,
        }
    }

    /// Looks at which namespaces the node's processes are in, for those that were there before the agent.
    fn search_namespaces(&mut self, ktime_ns: u64) {
        let searched = self.netns.searched_ktime_ns;
        if searched.is_some_and(|at| ktime_ns.saturating_sub(at) < SEARCH_INTERVAL_NS) {
            return;
        }
        self.netns.searched_ktime_ns = Some(ktime_ns);
        for pid in procfs::all_pids(MAX_PROCESSES) {
            let Some(netns) = procfs::netns(pid) else {
                continue;
            };
            let cgroup = self.cgroups.memberships().of(pid);
            let cgroup = cgroup.and_then(|path| self.cgroups.id_of(&path));
            if let Some(cgroup) = cgroup {
                self.netns.insert(netns, cgroup, ktime_ns);
            }
        }
    }
}

/// Returns what all of `subjects` have in common: the cgroup, else the container, else the pod.
fn common(subjects: &[v1::Subject]) -> v1::Subject {
    let Some((first, others)) = subjects.split_first() else {
        return v1::Subject::default();
    };
    let mut common = first.clone();
    for other in others {
        if common.cgroup != other.cgroup {
            common.cgroup = None;
        }
        if common.container != other.container {
            common.container = None;
        }
        if common.pod_uid != other.pod_uid {
            common.pod_uid = String::new();
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::{super::tests::attributor, *};

    const POD: &str = "/kubepods/burstable/pod0f6c1b2a-3d4e-5f60-7182-93a4b5c6d7e8";
    const NETNS: u32 = 4_026_532_000;

    fn path(container: char) -> String {
        format!("{POD}/{}", container.to_string().repeat(64))
    }

    /// Knows the cgroups 1 and 2, two containers of a pod, and 3, which is another's.
    fn knowing() -> Attributor {
        let mut attributor = attributor();
        attributor.paths.insert(1, path('a').into());
        attributor.paths.insert(2, path('b').into());
        attributor
            .paths
            .insert(3, "/system.slice/other.service".into());
        attributor
    }

    #[test]
    fn names_the_one_container_of_a_namespace() {
        let mut attributor = knowing();
        attributor.netns.insert(NETNS, 1, 5);
        let subject = attributor.netns_subject(NETNS, 0, 6);
        assert_eq!(subject.cgroup.unwrap().id, 1);
        assert_eq!(subject.container.unwrap().id, "a".repeat(64));
    }

    #[test]
    fn names_only_the_pod_when_its_containers_share_a_namespace_and_nobody_on_the_nodes_own() {
        let mut attributor = knowing();
        attributor.netns.insert(NETNS, 1, 5);
        attributor.netns.insert(NETNS, 2, 5);
        let subject = attributor.netns_subject(NETNS, 0, 6);
        assert_eq!((subject.cgroup, subject.container), (None, None));
        assert!(POD.ends_with(&subject.pod_uid) && !subject.pod_uid.is_empty());
        attributor.netns.insert(NETNS, 3, 5);
        assert_eq!(
            attributor.netns_subject(NETNS, 0, 6),
            v1::Subject::default()
        );
        let of_socket = attributor.netns_subject(NETNS, 3, 6).cgroup;
        assert_eq!(of_socket.unwrap().path, "/system.slice/other.service");
    }

    #[test]
    fn gives_a_reused_inode_to_the_living_alone() {
        let mut attributor = knowing();
        // The attributor of this test can look nothing up, so whatever was there before is gone.
        attributor.learn_netns(NETNS, 1, 5);
        attributor.learn_netns(NETNS, 3, 6);
        let subject = attributor.netns_subject(NETNS, 0, 7);
        assert_eq!(subject.cgroup.unwrap().id, 3);
    }

    #[test]
    fn forgets_the_dead_after_a_while() {
        let mut attributor = knowing();
        attributor.learn_netns(NETNS, 1, 5);
        assert!(attributor.netns_subject(NETNS, 0, 6).cgroup.is_some());
        let later = 6 + MEMORY_OF_DEAD_NS;
        assert_eq!(attributor.netns_subject(NETNS, 0, later).cgroup, None);
    }

    #[test]
    fn stays_bounded_whatever_it_learns() {
        let mut owners = NetnsOwners::default();
        for cgroup in 1..1000 {
            owners.insert(5000, cgroup, 9000);
        }
        let many = owners.namespaces.get_mut(&5000).unwrap();
        assert!(many.many && many.cgroups.is_empty());
    }
}
