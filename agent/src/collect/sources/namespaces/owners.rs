//! Finds the processes that hold a socket, by the links in `/proc/PID/fd`, as ss(8) does. Needs CAP_SYS_PTRACE for those of
//! others; what cannot be found is absent.

use std::{collections::HashMap, fs, sync::Arc};

use inquest_proto::v1::Process;

use crate::collect::{
    cgroupfs::{CgroupFs, Memberships},
    procfs,
};

/// Processes of a namespace whose files are looked at.
const MAX_PROCESSES: usize = 20_000;
/// Files looked at of one process.
const MAX_FILES: usize = 65_536;

/// How to find them.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// Names the cgroup of a process; without it, none is named.
    pub(super) cgroups: Option<Arc<CgroupFs>>,
}

/// The processes that hold some sockets.
#[derive(Debug, Default)]
pub(super) struct Found {
    by_inode: HashMap<u32, (Process, u64)>,
}

impl Owners {
    /// Finds a process of the namespace `netns` for each of the sockets.
    pub(super) fn find(&self, netns: u32, inodes: &[u32]) -> Found {
        let mut found = Found::default();
        if inodes.is_empty() {
            return found;
        }
        for pid in procfs::all_pids(MAX_PROCESSES) {
            if found.by_inode.len() == inodes.len() {
                break;
            }
            if procfs::netns(pid) != Some(netns) {
                continue;
            }
            for inode in sockets(pid).filter(|inode| inodes.contains(inode)) {
                if let Some(owner) = self.owner(pid) {
                    found.by_inode.entry(inode).or_insert(owner);
                }
            }
        }
        found
    }

    fn owner(&self, pid: u32) -> Option<(Process, u64)> {
        let memberships = self.cgroups.as_ref().map(|cgroups| cgroups.memberships());
        let leftover = procfs::leftover(pid, memberships.unwrap_or(&Memberships::default()))?;
        let process = Process {
            pid,
            comm: leftover.comm,
            parent_pid: leftover.parent_pid,
            ..Process::default()
        };
        let cgroup = self
            .cgroups
            .as_ref()
            .zip(leftover.cgroup)
            .and_then(|(cgroups, path)| cgroups.id_of(&path));
        Some((process, cgroup.unwrap_or(0)))
    }
}

impl Found {
    /// Returns the process that holds a socket.
    pub(super) fn process(&self, inode: u32) -> Option<Process> {
        self.by_inode
            .get(&inode)
            .map(|(process, _)| process.clone())
    }

    /// Returns the cgroup of them all, 0 when it is not one.
    pub(super) fn cgroup(&self) -> u64 {
        let mut cgroups = self.by_inode.values().map(|(_, cgroup)| *cgroup);
        match cgroups.next() {
            Some(first) if cgroups.all(|other| other == first) => first,
            _ => 0,
        }
    }
}

/// Returns the inodes of the sockets of process `pid`.
fn sockets(pid: u32) -> impl Iterator<Item = u32> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"));
    let files = files.into_iter().flatten().flatten().take(MAX_FILES);
    files.filter_map(|file| {
        let link = fs::read_link(file.path()).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
        inode.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsFd as _};

    use super::*;

    #[test]
    fn finds_this_process_by_a_socket_it_holds() {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let inode = rustix::fs::fstat(socket.as_fd()).unwrap().st_ino as u32;
        let own = std::process::id();
        let netns = procfs::netns(own).unwrap();
        let found = Owners::default().find(netns, &[inode]);
        assert_eq!(found.process(inode).unwrap().pid, own);
        assert_eq!(found.process(0), None);
        assert_eq!(Found::default().cgroup(), 0);
    }
}
