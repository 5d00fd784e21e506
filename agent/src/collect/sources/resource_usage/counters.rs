//! Reads what the files of a cgroup count, v1 and v2 alike. What this node does not tell stays absent; must not judge
//! or remember anything.

use inquest_proto::v1::Pressure;

use crate::collect::cgroupfs::CgroupFs;

/// Nanoseconds of a microsecond.
const NS_PER_US: u64 = 1000;
/// Limits from here on are none: v1 spells "no limit" as the largest number of whole pages.
const UNLIMITED_BYTES: u64 = i64::MAX as u64 - (1 << 20);
/// Thousandths of a CPU.
const MILLIS_PER_CPU: u64 = 1000;

/// The hierarchies whose controllers count. On v2 they are all the same one.
#[derive(Debug)]
pub(super) struct Controllers {
    pub(super) memory: CgroupFs,
    pub(super) cpu: CgroupFs,
    pub(super) cpuacct: CgroupFs,
    pub(super) pids: CgroupFs,
}

/// What the files said at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counters {
    pub(super) memory: Memory,
    pub(super) cpu: Cpu,
    pub(super) pids: Pids,
}

/// Of the memory controller. Events count from the cgroup's creation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) bytes: Option<u64>,
    /// Of `bytes`, what the kernel can take back by dropping file pages.
    pub(super) reclaimable_bytes: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) high_events: Option<u64>,
    pub(super) max_events: Option<u64>,
    pub(super) oom_events: Option<u64>,
    pub(super) oom_kills: Option<u64>,
    pub(super) pressure: Option<Pressure>,
    pub(super) io_pressure: Option<Pressure>,
}

/// Of the CPU controller. Counts from the cgroup's creation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cpu {
    pub(super) usage_ns: Option<u64>,
    pub(super) max_millis: Option<u64>,
    pub(super) periods: Option<u64>,
    pub(super) throttled_periods: Option<u64>,
    pub(super) throttled_ns: Option<u64>,
    pub(super) pressure: Option<Pressure>,
}

/// Of the pids controller.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pids {
    pub(super) current: Option<u64>,
    pub(super) max: Option<u64>,
    pub(super) max_events: Option<u64>,
}

impl Controllers {
    /// Finds the hierarchy of each, beginning from the one that names processes.
    pub(super) fn find(identity: &CgroupFs) -> Self {
        Self {
            memory: identity.of_controller("memory"),
            cpu: identity.of_controller("cpu"),
            cpuacct: identity.of_controller("cpuacct"),
            pids: identity.of_controller("pids"),
        }
    }

    /// Reads the cgroup at `path`, some twelve files.
    pub(super) fn read(&self, path: &str) -> Counters {
        Counters {
            memory: if self.memory.is_unified() {
                unified_memory(&self.memory, path)
            } else {
                v1_memory(&self.memory, path)
            },
            cpu: if self.cpu.is_unified() {
                unified_cpu(&self.cpu, path)
            } else {
                v1_cpu(&self.cpu, &self.cpuacct, path)
            },
            pids: pids(&self.pids, path),
        }
    }
}

fn unified_memory(files: &CgroupFs, path: &str) -> Memory {
    let read = |file| files.read(path, file);
    let number = |file| read(file).as_deref().and_then(number);
    let events = read("memory.events").unwrap_or_default();
    Memory {
        bytes: number("memory.current"),
        reclaimable_bytes: read("memory.stat").map(|stat| file_pages(&stat, "")),
        max_bytes: number("memory.max"),
        high_events: value(&events, "high"),
        max_events: value(&events, "max"),
        oom_events: value(&events, "oom"),
        oom_kills: value(&events, "oom_kill"),
        pressure: read("memory.pressure").as_deref().and_then(pressure),
        io_pressure: read("io.pressure").as_deref().and_then(pressure),
    }
}

/// v1 counts no `high`, and no OOM but the kills; it tells pressure of the node only.
fn v1_memory(files: &CgroupFs, path: &str) -> Memory {
    let read = |file| files.read(path, file);
    let number = |file| read(file).as_deref().and_then(number);
    let control = read("memory.oom_control").unwrap_or_default();
    Memory {
        bytes: number("memory.usage_in_bytes"),
        reclaimable_bytes: read("memory.stat").map(|stat| file_pages(&stat, "total_")),
        max_bytes: number("memory.limit_in_bytes").filter(|max| *max < UNLIMITED_BYTES),
        max_events: number("memory.failcnt"),
        oom_kills: value(&control, "oom_kill"),
        ..Memory::default()
    }
}

fn unified_cpu(files: &CgroupFs, path: &str) -> Cpu {
    let stat = files.read(path, "cpu.stat").unwrap_or_default();
    let max = files.read(path, "cpu.max").unwrap_or_default();
    let mut max = max.split_whitespace().map(|word| word.parse().ok());
    let us = |key| value(&stat, key).map(|us| us.saturating_mul(NS_PER_US));
    Cpu {
        usage_ns: us("usage_usec"),
        max_millis: millis(max.next().flatten(), max.next().flatten()),
        periods: value(&stat, "nr_periods"),
        throttled_periods: value(&stat, "nr_throttled"),
        throttled_ns: us("throttled_usec"),
        pressure: files
            .read(path, "cpu.pressure")
            .as_deref()
            .and_then(pressure),
    }
}

fn v1_cpu(cpu: &CgroupFs, cpuacct: &CgroupFs, path: &str) -> Cpu {
    let stat = cpu.read(path, "cpu.stat").unwrap_or_default();
    let read = |file| cpu.read(path, file).as_deref().and_then(number);
    Cpu {
        usage_ns: cpuacct
            .read(path, "cpuacct.usage")
            .as_deref()
            .and_then(number),
        // The quota of a cgroup without one is -1, which is no number here.
        max_millis: millis(read("cpu.cfs_quota_us"), read("cpu.cfs_period_us")),
        periods: value(&stat, "nr_periods"),
        throttled_periods: value(&stat, "nr_throttled"),
        throttled_ns: value(&stat, "throttled_time"),
        pressure: None,
    }
}

fn pids(files: &CgroupFs, path: &str) -> Pids {
    let read = |file| files.read(path, file);
    Pids {
        current: read("pids.current").as_deref().and_then(number),
        max: read("pids.max").as_deref().and_then(number),
        max_events: read("pids.events").and_then(|events| value(&events, "max")),
    }
}

/// Returns what can be dropped when memory is short. `prefix` is v1's for "with all below".
fn file_pages(stat: &str, prefix: &str) -> u64 {
    let of = |key: &str| value(stat, &format!("{prefix}{key}")).unwrap_or(0);
    of("inactive_file").saturating_add(of("active_file"))
}

/// A quota is `quota_us` of CPU time in each `period_us`.
fn millis(quota_us: Option<u64>, period_us: Option<u64>) -> Option<u64> {
    quota_us?
        .saturating_mul(MILLIS_PER_CPU)
        .checked_div(period_us?)
}

/// Returns the one number of a file; `None` for "max" and for numbers below zero.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Returns the value of `key` in a file of `key value` lines.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| number(value))?
    })
}

/// Parses a file of pressure, such as `some avg10=1.25 avg60=0.00 avg300=0.00 total=12`.
fn pressure(text: &str) -> Option<Pressure> {
    let share = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let avg10 = line
            .split(' ')
            .find_map(|word| word.strip_prefix("avg10="))?;
        avg10.parse::<f64>().ok().map(|percent| percent / 100.0)
    };
    Some(Pressure {
        some: share("some")?,
        // Before 5.13 there is none of the CPU.
        full: share("full").unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;

    use super::*;

    /// A cgroup file system of files that stand still.
    fn files(unified: bool, contents: &[(&str, &str)]) -> (tempfile::TempDir, CgroupFs) {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in contents {
            fs::write(folder.path().join(file), content).unwrap();
        }
        let files = CgroupFs::at(folder.path(), unified);
        (folder, files)
    }

    #[test]
    fn reads_memory_of_both_versions() {
        let (_v2_folder, v2) = files(
            true,
            &[
                ("memory.current", "1000\n"),
                ("memory.max", "max\n"),
                (
                    "memory.stat",
                    "anon 5\ninactive_file 300\nactive_file 100\n",
                ),
                (
                    "memory.events",
                    "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 0\n",
                ),
                (
                    "memory.pressure",
                    "some avg10=12.50 avg60=0.00 avg300=0.00 total=9\nfull avg10=2.00 avg60=0.00 avg300=0.00 total=1\n",
                ),
            ],
        );
        let memory = unified_memory(&v2, "/");
        assert_eq!((memory.bytes, memory.max_bytes), (Some(1000), None));
        assert_eq!(memory.reclaimable_bytes, Some(400));
        let events = (
            memory.high_events,
            memory.max_events,
            memory.oom_events,
            memory.oom_kills,
        );
        assert_eq!(events, (Some(1), Some(2), Some(3), Some(4)));
        assert_eq!(
            memory.pressure,
            Some(Pressure {
                some: 0.125,
                full: 0.02
            })
        );
        assert_eq!(memory.io_pressure, None);

        let (_v1_folder, v1) = files(
            false,
            &[
                ("memory.usage_in_bytes", "1000\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                (
                    "memory.stat",
                    "inactive_file 1\ntotal_inactive_file 300\ntotal_active_file 100\n",
                ),
                (
                    "memory.oom_control",
                    "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
                ),
                ("memory.failcnt", "2\n"),
            ],
        );
        let memory = v1_memory(&v1, "/");
        assert_eq!((memory.bytes, memory.max_bytes), (Some(1000), None));
        assert_eq!(memory.reclaimable_bytes, Some(400));
        let events = (
            memory.high_events,
            memory.max_events,
            memory.oom_events,
            memory.oom_kills,
        );
        assert_eq!(events, (None, Some(2), None, Some(4)));
    }

    #[test]
    fn reads_cpu_of_both_versions_in_the_same_units() {
        let expected = |pressure| Cpu {
            usage_ns: Some(7_000),
            max_millis: Some(250),
            periods: Some(5),
            throttled_periods: Some(3),
            throttled_ns: Some(9_000),
            pressure,
        };
        let (_v2_folder, v2) = files(
            true,
            &[
                (
                    "cpu.stat",
                    "usage_usec 7\nuser_usec 6\nnr_periods 5\nnr_throttled 3\nthrottled_usec 9\n",
                ),
                ("cpu.max", "25000 100000\n"),
                (
                    "cpu.pressure",
                    "some avg10=50.00 avg60=0.00 avg300=0.00 total=0\n",
                ),
            ],
        );
        let pressure = Pressure {
            some: 0.5,
            full: 0.0,
        };
        assert_eq!(unified_cpu(&v2, "/"), expected(Some(pressure)));
        let (_v1_folder, v1) = files(
            false,
            &[
                (
                    "cpu.stat",
                    "nr_periods 5\nnr_throttled 3\nthrottled_time 9000\n",
                ),
                ("cpu.cfs_quota_us", "25000\n"),
                ("cpu.cfs_period_us", "100000\n"),
                ("cpuacct.usage", "7000\n"),
            ],
        );
        assert_eq!(v1_cpu(&v1, &v1, "/"), expected(None));
    }

    #[test]
    fn knows_no_limit_where_there_is_none() {
        for (quota, period, expected) in [
            (None, Some(100_000), None),
            (Some(50_000), Some(0), None),
            (Some(50_000), None, None),
            (Some(150_000), Some(100_000), Some(1500)),
        ] {
            assert_eq!(millis(quota, period), expected);
        }
        let (_folder, files) = files(true, &[("pids.current", "3\n"), ("pids.max", "max\n")]);
        let expected = Pids {
            current: Some(3),
            ..Pids::default()
        };
        assert_eq!(pids(&files, "/"), expected);
    }

    #[test]
    fn finds_a_cgroup_that_is_gone_empty() {
        let nowhere = CgroupFs::find(Path::new("/nonexistent"));
        let controllers = Controllers::find(&nowhere);
        assert_eq!(controllers.read("/gone"), Counters::default());
    }

    proptest! {
        #[test]
        fn never_panics_on_what_a_file_says(text in "(some|full|avg10=|max|[0-9]{1,25}|-1| |\\n|\\PC){0,20}") {
            let _read = (pressure(&text), value(&text, "max"), number(&text), file_pages(&text, ""));
        }
    }
}
