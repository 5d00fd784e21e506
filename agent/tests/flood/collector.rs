//! The agent's own collector, which begins to read when it is told to, and cgroups in which processes die.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use inquest_agent::collect::{Collector, Observed};
use inquest_agent::probes::{self, ProbeConfig};
use inquest_proto::v1::signal::Body;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Observations that wait for the test.
const QUEUE: usize = 16 * 1024;

/// Attached probes whose records nobody reads yet.
pub(crate) struct Idle(Collector);

/// What a running collector has told, by the path of the cgroup it is about.
#[derive(Debug)]
pub(crate) struct Running {
    observed: mpsc::Receiver<Observed>,
    shutdown: CancellationToken,
    collector: JoinHandle<()>,
    told: BTreeMap<String, u64>,
    /// An empty path where no cgroup is named.
    lost: BTreeMap<String, u64>,
}

impl Idle {
    /// Attaches the probes named in `wanted`. Counts the test as skipped when that cannot be.
    pub(crate) async fn load(wanted: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            testkit::skip("loading probes needs root");
            return None;
        }
        let names = probes::names().filter(|name| !wanted.contains(name));
        let config = ProbeConfig {
            disabled: names.map(str::to_owned).collect(),
            ..ProbeConfig::default()
        };
        let loaded = tokio::task::spawn_blocking(move || probes::load(&config))
            .await
            .unwrap();
        let Some(collector) = loaded.collector else {
            testkit::skip(format_args!("nothing was loaded: {:?}", loaded.probes));
            return None;
        };
        Some(Self(collector))
    }

    /// Begins to read.
    pub(crate) fn run(self) -> Running {
        let (sender, observed) = mpsc::channel(QUEUE);
        let shutdown = CancellationToken::new();
        let until = shutdown.clone();
        let collector = tokio::spawn(async move { self.0.run(sender, until).await.unwrap() });
        Running {
            observed,
            shutdown,
            collector,
            told: BTreeMap::new(),
            lost: BTreeMap::new(),
        }
    }
}

impl Running {
    /// Takes in what was told meanwhile.
    pub(crate) fn take_in(&mut self) {
        while let Ok(observed) = self.observed.try_recv() {
            match observed {
                Observed::Signal(signal) if matches!(signal.body, Some(Body::ProcessExit(_))) => {
                    let cgroup = signal.subject.and_then(|subject| subject.cgroup);
                    let path = cgroup.map(|cgroup| cgroup.path).unwrap_or_default();
                    *self.told.entry(path).or_default() += 1;
                }
                Observed::Loss(loss) => *self.lost.entry(loss.cgroup).or_default() += loss.count,
                Observed::Signal(_) | Observed::Watermark(_) => {}
            }
        }
    }

    /// Returns how many ends in a cgroup were told.
    pub(crate) fn told(&self, path: &str) -> u64 {
        self.told.get(path).copied().unwrap_or_default()
    }

    /// Returns how many ends in a cgroup were told or counted as lost.
    pub(crate) fn accounted_for(&self, path: &str) -> u64 {
        self.told(path) + self.lost.get(path).copied().unwrap_or_default()
    }

    /// Returns how many losses name no cgroup.
    pub(crate) fn unnamed_losses(&self) -> u64 {
        self.lost.get("").copied().unwrap_or_default()
    }

    /// Ends the collector.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.collector.await.unwrap();
    }
}

/// A cgroup of the hierarchy that names processes; removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    directory: PathBuf,
    /// Below the hierarchy's root.
    pub(crate) path: String,
}

impl Scratch {
    /// Makes a cgroup `name` of this test process's own.
    pub(crate) fn new(name: &str) -> Self {
        let mounts = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(Path::new);
        let mount = mounts
            .into_iter()
            .find(|mount| mount.join("cgroup.procs").is_file());
        let path = format!("/inquest-test-flood-{}-{name}", std::process::id());
        let directory = mount
            .expect("no cgroup file system")
            .join(path.trim_start_matches('/'));
        fs::create_dir(&directory).unwrap();
        Self { directory, path }
    }

    /// Starts a shell that has `count` children die by SIGKILL in the cgroup, and ends well itself.
    pub(crate) fn begin_deaths(&self, count: u64) -> Child {
        let script = format!(
            "echo $$ > {}/cgroup.procs; for i in $(seq {count}); do (kill -KILL $BASHPID); done; true",
            self.directory.display()
        );
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &script])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.directory) {
            eprintln!("{} is left behind: {error}", self.directory.display());
        }
    }
}
