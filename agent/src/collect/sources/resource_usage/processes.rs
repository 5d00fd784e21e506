//! Reads of a cgroup's processes what no cgroup file counts: open files against their limit, and time spent waiting for
//! a CPU. Bounded; a process that ends meanwhile is left out.

use std::{collections::HashMap, fs};

use inquest_proto::v1;

/// Processes whose limit is read, those with the most open files.
const MAX_LIMITS: usize = 4;
/// Open files that are counted one by one, on kernels before 6.2; a process with more is left out there.
const MAX_LISTED: usize = 16_384;
/// Threads whose waiting is added up.
const MAX_THREADS: usize = 64;

/// The process with the largest share of its limit of open files.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OpenFiles {
    pub(super) process: v1::Process,
    pub(super) open: u64,
    pub(super) max: u64,
}

/// What each thread had waited for a CPU, by its id, in nanoseconds.
pub(super) type Waits = HashMap<u32, u64>;

/// Returns which of `pids` has used most of its limit.
pub(super) fn open_files(pids: &[u32]) -> Option<OpenFiles> {
    let mut counts: Vec<(u64, u32)> = pids
        .iter()
        .filter_map(|pid| Some((count_open(*pid)?, *pid)))
        .collect();
    counts.sort_unstable_by_key(|(open, _)| std::cmp::Reverse(*open));
    let worst = counts
        .into_iter()
        .take(MAX_LIMITS)
        .filter_map(|(open, pid)| Some((open, max_open(pid)?, pid)))
        .filter(|(_, max, _)| *max > 0)
        // Compares the shares without dividing.
        .max_by_key(|(open, max, _)| u128::from(*open) * u128::from(u64::MAX) / u128::from(*max))?;
    let (open, max, pid) = worst;
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(OpenFiles {
        process: v1::Process {
            pid,
            comm: comm.trim_end().to_owned(),
            ..v1::Process::default()
        },
        open,
        max,
    })
}

/// Returns what the threads of `pids` have waited for a CPU since they began.
pub(super) fn waits(pids: &[u32]) -> Waits {
    let threads = pids.iter().flat_map(|pid| threads(*pid));
    threads
        .take(MAX_THREADS)
        .filter_map(|thread| Some((thread, wait(thread)?)))
        .collect()
}

/// Returns what the threads that there were both times waited in between.
pub(super) fn waited_between(before: &Waits, now: &Waits) -> u64 {
    let between = |(thread, wait): (&u32, &u64)| Some(wait.saturating_sub(*before.get(thread)?));
    now.iter().filter_map(between).sum()
}

fn count_open(pid: u32) -> Option<u64> {
    let folder = format!("/proc/{pid}/fd");
    let size = fs::metadata(&folder).ok()?.len();
    if size > 0 {
        return Some(size);
    }
    // Before 6.2 the folder has no size.
    let listed = fs::read_dir(folder).ok()?.take(MAX_LISTED + 1).count();
    (listed <= MAX_LISTED).then_some(listed as u64)
}

/// Returns the soft limit, `None` when there is none.
fn max_open(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn threads(pid: u32) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The second of three numbers: time on a CPU, time waiting for one, turns.
fn wait(thread: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{thread}/schedstat")).ok()?;
    stat.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_open_files_of_the_process_nearest_to_its_limit() {
        let own = std::process::id();
        let held: Vec<_> = (0..20)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        let found = open_files(&[own, u32::MAX]).unwrap();
        assert_eq!(found.process.pid, own);
        assert!(found.open >= held.len() as u64, "{found:?}");
        assert!(found.max >= found.open, "{found:?}");
        assert_eq!(open_files(&[u32::MAX]), None);
    }

    #[test]
    fn adds_up_what_threads_waited_that_were_there_both_times() {
        let before = Waits::from([(1, 100), (2, 50)]);
        let now = Waits::from([(1, 400), (3, 1_000_000)]);
        assert_eq!(waited_between(&before, &now), 300);
        let own = waits(&[std::process::id()]);
        if own.is_empty() {
            testkit::skip("this kernel does not tell how long threads waited");
            return;
        }
        assert!(own.len() <= MAX_THREADS);
        assert!(waited_between(&own, &own) == 0);
    }
}
