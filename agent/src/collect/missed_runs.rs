//! Counts the runs of programs that the kernel left out: one that is at work on a CPU does not run there a second time,
//! which happens where the kernel may preempt it (7.0 and later; 5.12 at the returns of functions) or an interrupt comes in
//! between. Must not attach or detach anything.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::PoisonError,
    time::Duration,
};

use inquest_proto::v1::loss::Stage;
use tokio::time::Instant;

use crate::{
    loss::Losses,
    probes::{Programs, ReturnPrograms},
};

/// Time between two readings: a small file for each program.
const INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of what the kernel tells about a program, some 200, read in one go.
const MAX_FDINFO: usize = 1024;
/// As what they are told.
const REASON: &str = "probe_busy";

/// The loaded programs, and how far their missed runs have been told.
pub(crate) struct MissedRuns {
    programs: Programs,
    returns: Option<ReturnPrograms>,
    told: BTreeMap<String, u64>,
    last: Instant,
}

impl MissedRuns {
    /// Watches `programs`, and those at the `returns` of functions, from now on.
    pub(crate) fn of(programs: Programs, returns: Option<ReturnPrograms>) -> Self {
        Self {
            programs,
            returns,
            told: BTreeMap::new(),
            last: Instant::now(),
        }
    }

    /// Adds the runs missed since the last time to `losses`, if it is time to read them.
    pub(crate) fn tell_if_due(&mut self, losses: &mut Losses) {
        if self.last.elapsed() < INTERVAL {
            return;
        }
        self.last = Instant::now();
        self.tell(losses);
    }

    /// Adds the runs missed since the last time to `losses`.
    pub(crate) fn tell(&mut self, losses: &mut Losses) {
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is not loaded misses nothing.
        let loaded = programs
            .programs()
            .filter_map(|(name, program)| Some((name, program.fd().ok()?.as_fd())));
        let returns = self.returns.iter().flat_map(ReturnPrograms::iter);
        for (name, fd) in loaded.chain(returns) {
            let Some(missed) = missed_runs(fd.as_raw_fd()) else {
                continue;
            };
            let told = self.told.entry(name.to_owned()).or_default();
            let before = std::mem::replace(told, missed);
            losses.add(Stage::RingBuffer, REASON, missed.saturating_sub(before));
        }
    }
}

/// Returns how many runs the kernel says to have left out of the program behind `fd`; `None` before Linux 5.12, which
/// does not count them.
fn missed_runs(fd: i32) -> Option<u64> {
    let mut text = [0; MAX_FDINFO];
    let mut file = File::open(format!("/proc/self/fdinfo/{fd}")).ok()?;
    let len = file.read(&mut text).ok()?;
    parse(str::from_utf8(text.get(..len)?).ok()?)
}

fn parse(fdinfo: &str) -> Option<u64> {
    let mut lines = fdinfo.lines();
    let count = lines.find_map(|line| line.strip_prefix("recursion_misses:"))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_counts_and_nothing_where_it_does_not() {
        let told =
            "pos:\t0\nprog_type:\t17\nrun_cnt:\t0\nrecursion_misses:\t12\nverified_insns:\t9\n";
        assert_eq!(parse(told), Some(12));
        assert_eq!(parse("pos:\t0\nprog_type:\t17\n"), None);
        assert_eq!(parse("recursion_misses:\tmany\n"), None);
    }
}
