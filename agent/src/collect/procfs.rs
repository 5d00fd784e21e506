//! Reads from procfs what the kernel's records do not tell: who else holds memory. Bounded; a process that
//! ends meanwhile is left out. Must not ask a `/proc` that numbers processes otherwise than the records do: it would
//! answer about others.

use std::{fs, sync::LazyLock};

use inquest_proto::v1::ProcessMemory;
use procfs::process::Process;

use super::cgroupfs::Memberships;

/// Processes told.
const MAX_TOP: usize = 10;

/// The thread that starts the kernel's others: 2 in the first pid namespace, and in no other.
const KTHREADD: &str = "/proc/2/stat";
/// `PF_KTHREAD` of the kernel's `include/linux/sched.h`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Returns whether `/proc` shows the node's processes by the ids that records have: not in a pid namespace of the agent's
/// own, nor where other processes are hidden.
pub fn shows_node() -> bool {
    // Neither the namespace nor what is mounted changes while a process runs.
    static SHOWS_NODE: LazyLock<bool> = LazyLock::new(|| {
        let stat = fs::read_to_string(KTHREADD).unwrap_or_default();
        is_kernel_thread(&stat)
    });
    *SHOWS_NODE
}

/// Judges a `/proc/PID/stat`; its flags are the seventh field after the name, which may hold anything.
fn is_kernel_thread(stat: &str) -> bool {
    let flags = stat
        .rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}

/// Returns the path of a file of process `pid`, `None` where that would be another's.
pub fn path(pid: u32, file: &str) -> Option<String> {
    shows_node().then(|| format!("/proc/{pid}/{file}"))
}

/// What procfs still tells about a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leftover {
    /// Its name.
    pub comm: String,
    /// Its parent.
    pub parent_pid: u32,
    /// Path of its cgroup in the hierarchy asked for, `None` when it has left it.
    pub cgroup: Option<String>,
}

/// Returns the largest of `pids` with `victim` among them as the kernel saw it: it may be gone by now.
pub fn top_processes(pids: &[u32], victim: ProcessMemory) -> Vec<ProcessMemory> {
    let page_bytes = rustix::param::page_size() as u64;
    let mut processes: Vec<ProcessMemory> = pids
        .iter()
        .filter(|pid| **pid != victim.pid)
        .filter_map(|pid| resident(*pid, page_bytes))
        .collect();
    processes.push(victim.clone());
    processes.sort_by_key(|process| std::cmp::Reverse(process.rss_bytes));
    let cut = processes.len() > MAX_TOP;
    processes.truncate(MAX_TOP);
    if cut && !processes.iter().any(|process| process.pid == victim.pid) {
        processes.pop();
        processes.push(victim);
    }
    for process in &mut processes {
        if process.comm.is_empty() {
            process.comm = comm(process.pid).unwrap_or_default();
        }
    }
    processes
}

/// Lists at most `max` processes of the node; none where they cannot be seen.
pub fn all_pids(max: usize) -> Vec<u32> {
    if !shows_node() {
        return Vec::new();
    }
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .take(max)
        .collect()
}

/// Asks what is left of process `pid`, with its cgroup as `memberships` has it.
pub fn leftover(pid: u32, memberships: &Memberships) -> Option<Leftover> {
    if !shows_node() {
        return None;
    }
    let process = Process::new(pid.try_into().ok()?).ok()?;
    let stat = process.stat().ok()?;
    Some(Leftover {
        comm: stat.comm,
        parent_pid: stat.ppid.try_into().unwrap_or(0),
        cgroup: memberships.of(pid),
    })
}

/// Returns the name of the file that process `pid` runs, `None` when it has ended or is not called `comm` any more.
pub fn program(pid: u32, name: &str) -> Option<String> {
    if comm(pid)? != name {
        return None;
    }
    program_file(pid)
}

/// Returns the name of the file that process `pid` runs, `None` for a kernel thread or one that has ended.
pub fn program_file(pid: u32) -> Option<String> {
    let file = fs::read_link(path(pid, "exe")?).ok()?;
    let file = file.file_name()?.to_string_lossy();
    // An upgrade replaces the file of a daemon that runs on.
    Some(file.trim_end_matches(" (deleted)").to_owned())
}

/// Returns the inode of the network namespace of process `pid`. Of another user's needs CAP_SYS_PTRACE.
pub fn netns(pid: u32) -> Option<u32> {
    let link = fs::read_link(path(pid, "ns/net")?).ok()?;
    let inode = link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

/// Returns the inode of the mount namespace of process `pid`. Of another user's needs CAP_SYS_PTRACE.
pub fn mount_namespace(pid: u32) -> Option<u32> {
    let link = fs::read_link(path(pid, "ns/mnt")?).ok()?;
    let inode = link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?;
    inode.parse().ok()
}

fn resident(pid: u32, page_bytes: u64) -> Option<ProcessMemory> {
    let statm = fs::read_to_string(path(pid, "statm")?).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(ProcessMemory {
        pid,
        comm: String::new(),
        rss_bytes: pages.saturating_mul(page_bytes),
    })
}

/// Returns the name of a process, unless it is gone.
pub(crate) fn comm(pid: u32) -> Option<String> {
    let comm = fs::read_to_string(path(pid, "comm")?).ok()?;
    Some(comm.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_kernel_thread_whatever_it_is_called() {
        for (stat, expected) in [
            ("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0", true),
            ("2 (a) b) S 0 0 0 0 -1 2129984 0 0", true),
            ("2 (kthreadd) S 0 2 2 0 -1 4194560 0 0", false),
            ("2 (kthreadd", false),
            ("", false),
        ] {
            assert_eq!(is_kernel_thread(stat), expected, "{stat}");
        }
    }

    fn victim(rss_bytes: u64) -> ProcessMemory {
        ProcessMemory {
            pid: u32::MAX,
            comm: "gone".to_owned(),
            rss_bytes,
        }
    }

    #[test]
    fn ranks_living_processes_with_the_victim_as_the_kernel_saw_it() {
        if !shows_node() {
            return testkit::skip("/proc does not show the node's processes here");
        }
        let own = std::process::id();
        let top = top_processes(&[own, u32::MAX, u32::MAX - 1], victim(1));
        let pids: Vec<u32> = top.iter().map(|process| process.pid).collect();
        assert_eq!(pids, [own, u32::MAX]);
        assert!(top[0].rss_bytes > 0 && !top[0].comm.is_empty());
        assert_eq!(top_processes(&[own], victim(u64::MAX))[0].comm, "gone");
    }

    #[test]
    fn keeps_a_small_victim_in_a_full_list() {
        let many = vec![std::process::id(); 40];
        let top = top_processes(&many, victim(1));
        assert_eq!(top.len(), MAX_TOP);
        assert_eq!(top.last().map(|process| process.pid), Some(u32::MAX));
    }

    #[test]
    fn names_the_file_that_a_process_runs_unless_its_pid_is_anothers() {
        if !shows_node() {
            return testkit::skip("/proc does not show the node's processes here");
        }
        let own = std::process::id();
        let name = comm(own).unwrap();
        let exe = std::env::current_exe().unwrap();
        let expected = exe.file_name().and_then(|name| name.to_str());
        assert_eq!(program(own, &name).as_deref(), expected);
        assert_eq!(program(own, "another"), None);
        assert_eq!(program(u32::MAX, &name), None);
    }

    #[test]
    fn tells_what_is_left_of_a_process() {
        if !shows_node() {
            return testkit::skip("/proc does not show the node's processes here");
        }
        let memberships = Memberships::default();
        let own = leftover(std::process::id(), &memberships).unwrap();
        assert!(!own.comm.is_empty());
        assert!(own.parent_pid > 0);
        assert_eq!(leftover(u32::MAX, &memberships), None);
        assert!(netns(std::process::id()).unwrap() > 0);
        assert!(all_pids(usize::MAX).contains(&std::process::id()));
        assert!(all_pids(3).len() <= 3);
    }
}
