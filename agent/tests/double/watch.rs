//! A collector on the running kernel, and cgroups to be watched. Only for root: it loads the real programs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use inquest_agent::collect::Observed;
use inquest_agent::probes::{self, ProbeConfig};
use inquest_agent::profile_desk::ProfileDesk;
use inquest_proto::v1;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest that a test waits for a signal.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A running collector.
pub(crate) struct Watch {
    /// How the probes fare.
    pub(crate) probes: Vec<v1::ProbeStatus>,
    /// Where wait profiles are asked for.
    pub(crate) profile_desk: ProfileDesk,
    observed: mpsc::Receiver<Observed>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Watch {
    /// Loads the probes named in `wanted`, the others stay off. Counts the test as skipped when that cannot be.
    pub(crate) async fn start(wanted: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            testkit::skip("loading probes needs root");
            return None;
        }
        let config = ProbeConfig {
            disabled: probes::names()
                .filter(|name| !wanted.contains(name))
                .map(str::to_owned)
                .collect(),
            ..ProbeConfig::default()
        };
        let profile_desk = config.profile_desk.clone();
        let loaded = tokio::task::spawn_blocking(move || probes::load(&config))
            .await
            .unwrap();
        let Some(collector) = loaded.collector else {
            testkit::skip(format_args!("nothing was loaded: {:?}", loaded.probes));
            return None;
        };
        let (sender, observed) = mpsc::channel(1024);
        let shutdown = CancellationToken::new();
        let until = shutdown.clone();
        let running = tokio::spawn(async move { collector.run(sender, until).await.unwrap() });
        Some(Self {
            probes: loaded.probes,
            profile_desk,
            observed,
            shutdown,
            running,
        })
    }

    /// Returns the next signal that `wanted` takes something from.
    pub(crate) async fn next<T>(&mut self, mut wanted: impl FnMut(&v1::Signal) -> Option<T>) -> T {
        let search = async {
            loop {
                match self.observed.recv().await.expect("the collector ended") {
                    Observed::Signal(signal) => {
                        if let Some(found) = wanted(&signal) {
                            return found;
                        }
                    }
                    Observed::Loss(_) | Observed::Watermark(_) => {}
                }
            }
        };
        let found = tokio::time::timeout(DEADLINE, search).await;
        found.expect("no such signal in time")
    }

    /// Ends the collector.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

/// A cgroup of the hierarchy that names processes; removed when dropped.
pub(crate) struct ScratchCgroup {
    directory: PathBuf,
    /// Below the hierarchy's root.
    pub(crate) path: String,
}

impl ScratchCgroup {
    /// Makes a cgroup `name` of this test process's own.
    pub(crate) fn new(name: &str) -> Self {
        let mount = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"]
            .into_iter()
            .map(Path::new)
            .find(|mount| mount.join("cgroup.procs").is_file())
            .expect("no cgroup file system");
        let path = format!("/inquest-test-{}-{name}", std::process::id());
        let directory = mount.join(path.trim_start_matches('/'));
        fs::create_dir(&directory).unwrap();
        Self { directory, path }
    }

    /// Returns the path of one of its files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns a command that runs `program` in it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.directory.join("cgroup.procs"))
            .arg(program);
        command
    }

    /// Starts `command` and moves it in.
    pub(crate) fn spawn(&self, command: &mut Command) -> Member {
        let child = command.spawn().unwrap();
        fs::write(self.directory.join("cgroup.procs"), child.id().to_string()).unwrap();
        Member(child)
    }
}

impl Drop for ScratchCgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.directory) {
            eprintln!("{} is left behind: {error}", self.directory.display());
        }
    }
}

/// A process that is killed and collected when dropped.
pub(crate) struct Member(Child);

impl From<Child> for Member {
    fn from(child: Child) -> Self {
        Self(child)
    }
}

impl Member {
    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
