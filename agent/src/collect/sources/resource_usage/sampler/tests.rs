//! The sampler against files that stand still, then against real cgroups with real limits.

use std::{fs, path::Path};

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::collect::{clock::ktime_now_ns, sources::real_cgroup::RealCgroup};

const CONTAINER: &str = "kubepods/pod0f6c1b2a-3d4e-5f60-7182-93a4b5c6d7e8/3f1c7a52b0e94d6688a1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f50617";
const MIB: u64 = 1 << 20;
const SECOND_NS: u64 = 1_000_000_000;
/// Longest wait for the kernel to count something.
const DEADLINE: Duration = Duration::from_secs(30);
/// Long enough for a window of ten periods of a CPU quota.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A sampler of one container whose files are plain ones.
struct Still {
    folder: tempfile::TempDir,
    sampler: Sampler,
}

impl Still {
    fn new(max_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(CONTAINER)).unwrap();
        let at = || CgroupFs::at(folder.path(), true);
        let controllers = Controllers {
            memory: at(),
            cpu: at(),
            cpuacct: at(),
            pids: at(),
        };
        let still = Self {
            sampler: Sampler::new(Arc::new(at()), controllers),
            folder,
        };
        still.write("memory.max", max_bytes);
        still
    }

    fn write(&self, file: &str, value: u64) {
        let path = self.folder.path().join(CONTAINER).join(file);
        fs::write(path, format!("{value}\n")).unwrap();
    }

    /// What is told of the container at a second.
    fn told_at(&mut self, second: u64) -> Option<Sample> {
        let told = self.sampler.step(second * SECOND_NS);
        // The pod's own cgroup has no files and nothing to tell but its baseline.
        told.into_iter()
            .find(|sample| sample.usage.memory_bytes.is_some())
    }
}

#[test]
fn tells_a_calm_container_once_a_minute() {
    let mut still = Still::new(100 * MIB);
    still.write("memory.current", MIB);
    let told: Vec<u64> = (1..=20)
        .map(|step| step * 10)
        .filter(|second| still.told_at(*second).is_some())
        .collect();
    assert_eq!(told, [60, 120, 180]);
}

#[test]
fn foresees_when_growth_reaches_the_limit() {
    let mut still = Still::new(100 * MIB);
    let mut foreseen = None;
    for step in 1..=8 {
        // One MiB a second.
        still.write("memory.current", (10 + step * 10) * MIB);
        foreseen = still.told_at(step * 10);
    }
    let usage = foreseen.unwrap().usage;
    let slope = usage.memory_slope_bytes_per_second.unwrap();
    assert!((slope - MIB as f64).abs() < 1000.0, "{slope}");
    let left = usage.memory_seconds_left.unwrap();
    assert!((left - 10.0).abs() < 0.1, "{left}");
    assert_eq!(usage.memory_max_bytes, Some(100 * MIB));
}

#[test]
fn tells_counters_of_the_window_before() {
    let mut still = Still::new(100 * MIB);
    still.write("memory.current", 95 * MIB);
    let events = |max: u64| format!("low 0\nhigh 0\nmax {max}\noom 0\noom_kill 0\n");
    let path = still.folder.path().join(CONTAINER).join("memory.events");
    let mut told = Vec::new();
    for (second, max) in [(10, 5), (20, 12)] {
        fs::write(&path, events(max)).unwrap();
        told.push(still.told_at(second).unwrap());
    }
    assert_eq!(
        (told[0].start_ktime_ns, told[0].usage.memory_max_events),
        (None, None)
    );
    assert_eq!(told[1].start_ktime_ns, Some(10 * SECOND_NS));
    assert_eq!(told[1].usage.memory_max_events, Some(7));
}

#[test]
fn forgets_cgroups_that_are_gone_and_keeps_its_pace_for_many() {
    let mut still = Still::new(MIB);
    still.told_at(1);
    // The container, its pod, and what holds the pods.
    assert_eq!(still.sampler.known.len(), 3);
    assert_eq!(still.sampler.pause(), ROUND);
    for number in 0..2 * MAX_SAMPLED {
        fs::create_dir(still.folder.path().join(format!("unit-{number}"))).unwrap();
    }
    for second in 2..100 {
        still.told_at(second);
    }
    assert_eq!(still.sampler.known.len(), MAX_SAMPLED);
    assert_eq!(still.sampler.pause(), MIN_PAUSE);
    fs::remove_dir_all(still.folder.path().join("kubepods")).unwrap();
    for second in 100..200 {
        still.told_at(second);
    }
    let has_container = still
        .sampler
        .known
        .values()
        .any(|known| known.place != Place::Other);
    assert!(!has_container);
}

/// A real cgroup and a sampler of the node that it is on.
struct Real {
    cgroup: RealCgroup,
    sampler: Sampler,
}

impl Real {
    /// `None`, and a counted skip, where no cgroup can be made.
    fn make() -> Option<Self> {
        let cgroup = RealCgroup::make()?;
        let identity = Arc::new(CgroupFs::find(Path::new("/sys/fs/cgroup")));
        let controllers = Controllers::find(&identity);
        let sampler = Sampler::new(identity, controllers);
        Some(Self { cgroup, sampler })
    }

    /// A tenth of a CPU.
    fn set_quota(&self) -> Option<()> {
        if self.sampler.controllers.cpu.is_unified() {
            self.cgroup.set("cpu.max", "10000 100000")
        } else {
            self.cgroup.set("cpu.cfs_quota_us", "10000")
        }
    }

    fn set_memory_limit(&self) -> Option<()> {
        if self.sampler.controllers.memory.is_unified() {
            self.cgroup.set("memory.max", "33554432")
        } else {
            self.cgroup.set("memory.limit_in_bytes", "33554432")
        }
    }

    /// Samples until something is told that `is_it`.
    async fn told(&mut self, is_it: impl Fn(&ResourceUsage) -> bool) -> Sample {
        let deadline = Instant::now() + DEADLINE;
        let id = self.cgroup.id().unwrap();
        loop {
            let told = self.sampler.step(ktime_now_ns());
            let mut ours = told.into_iter().filter(|sample| sample.cgroup == id);
            if let Some(sample) = ours.find(|sample| is_it(&sample.usage)) {
                return sample;
            }
            assert!(
                Instant::now() < deadline,
                "never told: {:?}",
                self.sampler.known.get(&id)
            );
            sleep(LOOK_AGAIN).await;
        }
    }
}

#[tokio::test]
async fn tells_a_cgroup_that_its_quota_stops() {
    let Some(mut real) = Real::make() else { return };
    if real.set_quota().is_none() {
        return;
    }
    real.cgroup.run("while :; do :; done");
    let throttled =
        |usage: &ResourceUsage| usage.cpu_throttled_periods.is_some_and(|count| count >= 5);
    let sample = real.told(throttled).await;
    let usage = sample.usage;
    assert_eq!(usage.cpu_max_millis, Some(100));
    assert!(usage.cpu_throttled_ns > Some(0), "{usage:?}");
    assert!(
        usage.cpu_periods >= usage.cpu_throttled_periods,
        "{usage:?}"
    );
    assert!(sample.start_ktime_ns.is_some());
}

#[tokio::test]
async fn tells_a_cgroup_that_can_fork_no_more() {
    let Some(mut real) = Real::make() else { return };
    if real.cgroup.set("pids.max", "4").is_none() {
        return;
    }
    // The third is the last that fits beside the shell; the fourth fails.
    real.cgroup
        .run("for i in 1 2 3; do sleep 60 & done; sleep 60 & read line");
    let usage = real.told(|usage| usage.pids == Some(4)).await.usage;
    assert_eq!(usage.pids_max, Some(4));
    let refused = timeout(DEADLINE, async {
        loop {
            let events = real
                .sampler
                .controllers
                .read(&real.cgroup.path)
                .pids
                .max_events;
            if events.is_some_and(|events| events > 0) {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    });
    refused.await.unwrap();
}

#[tokio::test]
async fn tells_a_process_at_its_limit_of_open_files() {
    let Some(mut real) = Real::make() else { return };
    let opens: Vec<String> = (3..9).map(|fd| format!("exec {fd}</dev/null")).collect();
    real.cgroup
        .run(&format!("ulimit -n 11\n{}\nread line", opens.join("\n")));
    let pid = real.cgroup.pid;
    let at_limit = |usage: &ResourceUsage| usage.open_files_max == Some(11);
    let usage = real.told(at_limit).await.usage;
    let truth = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert_eq!(usage.open_files, Some(truth as u64));
    assert_eq!(
        usage.open_files_process.map(|process| process.pid),
        Some(pid)
    );
}

#[tokio::test]
async fn tells_memory_that_nears_its_limit() {
    let Some(mut real) = Real::make() else { return };
    if real.set_memory_limit().is_none() {
        return;
    }
    // What comes last is kept until the end, which does not come.
    real.cgroup
        .run("(head -c 30000000 /dev/zero; read line) | tail -c 30000000");
    let usage = real
        .told(|usage| usage.memory_bytes > Some(28 << 20))
        .await
        .usage;
    assert_eq!(usage.memory_max_bytes, Some(32 << 20));
}
