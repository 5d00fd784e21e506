//! This agent's own probes and collector at work in a network namespace of the test's own.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    process::Command,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use inquest_agent::collect::{CollectorError, Observed};
use inquest_agent::probes::{self, Loaded, ProbeConfig};
use inquest_proto::v1::{self, probe_status::State, signal::Body};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Tells the copy of a test that runs in the namespace that it does.
const INSIDE: &str = "INQUEST_TEST_OWN_NETWORK";
/// Held by the one test that runs in a namespace.
static ALONE: Mutex<()> = Mutex::new(());
/// Longest wait for what must come.
const DEADLINE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Whether the test runs in a network namespace of its own. If not, it has been run in one, and has passed, or it
/// cannot be.
pub(crate) fn in_own_network(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !rustix::process::geteuid().is_root() {
        testkit::skip("loading probes and making a network namespace need root");
        return false;
    }
    // A storm leaves no room in the kernel's maps for what another test provokes.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new("unshare")
        .args([
            "--net",
            "sh",
            "-c",
            "ip link set lo up && exec \"$0\" \"$@\"",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("tests::{test}")])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("1 passed"), "{said}");
    print!("{said}");
    false
}

/// Runs a script of `nft` in this namespace; `false` where there is no `nft`.
pub(crate) fn nft(script: &str) -> bool {
    match Command::new("nft").arg(script).status() {
        Ok(status) => {
            assert!(status.success());
            true
        }
        Err(_) => false,
    }
}

/// Returns how many packets the rule with `port` in it counted.
pub(crate) fn nft_counter(port: u16) -> u64 {
    let output = Command::new("nft")
        .args(["list", "ruleset"])
        .output()
        .unwrap();
    let rules = String::from_utf8(output.stdout).unwrap();
    let rule = rules.lines().find(|line| line.contains(&port.to_string()));
    let (_, counted) = rule.unwrap().split_once("packets ").unwrap();
    counted.split(' ').next().unwrap().parse().unwrap()
}

/// Returns the inode of the network namespace of this thread.
pub(crate) fn own_netns() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").unwrap().ino()
}

/// The agent's collector, and what it has told so far.
pub(crate) struct Agent {
    observed: mpsc::Receiver<Observed>,
    shutdown: CancellationToken,
    collector: JoinHandle<Result<(), CollectorError>>,
    told: Vec<v1::Signal>,
    losses: Vec<v1::Loss>,
}

impl Agent {
    /// Loads the probes; `None`, and a skip, where the one that is meant cannot be attached.
    pub(crate) async fn start(probe: &str) -> Option<Self> {
        let loaded = tokio::task::spawn_blocking(|| probes::load(&ProbeConfig::default()));
        let Loaded {
            probes, collector, ..
        } = loaded.await.unwrap();
        let status = probes.iter().find(|status| status.name == probe).unwrap();
        if status.state() != State::Attached {
            testkit::skip(format_args!("{probe} is not attached: {}", status.detail));
            return None;
        }
        let (sender, observed) = mpsc::channel(65_536);
        let shutdown = CancellationToken::new();
        let collector = tokio::spawn(collector.unwrap().run(sender, shutdown.clone()));
        Some(Self {
            observed,
            shutdown,
            collector,
            told: Vec::new(),
            losses: Vec::new(),
        })
    }

    /// Returns all signals so far.
    pub(crate) fn signals(&mut self) -> &[v1::Signal] {
        while let Ok(observed) = self.observed.try_recv() {
            match observed {
                Observed::Signal(signal) => self.told.push(*signal),
                Observed::Loss(loss) => self.losses.push(loss),
                Observed::Watermark(_) => {}
            }
        }
        &self.told
    }

    /// Returns what all signals so far say.
    pub(crate) fn bodies(&mut self) -> Vec<Body> {
        let signals = self.signals().iter();
        signals.filter_map(|signal| signal.body.clone()).collect()
    }

    /// Returns how much was lost so far for a reason.
    pub(crate) fn lost(&mut self, reason: &str) -> u64 {
        self.signals();
        let losses = self.losses.iter().filter(|loss| loss.reason == reason);
        losses.map(|loss| loss.count).sum()
    }

    /// Waits until what was told so far is enough.
    pub(crate) async fn until(&mut self, mut enough: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !enough(self) {
            if Instant::now() > deadline {
                let told: Vec<_> = self.signals().iter().rev().take(5).collect();
                panic!("not told in time; the last signals are {told:#?}");
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Detaches the probes.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        drop(self.observed);
        self.collector.await.unwrap().unwrap();
    }
}
