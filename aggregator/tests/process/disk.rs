//! A disk that is full: nothing is acked that is not stored, and it goes on by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tonic::Code;

use super::{
    agent::{Agent, batch, hello},
    daemon::{Daemon, Home, poll},
    rest::{get, signal_ids},
};

/// The aggregator with a file system of 2 MiB over its state directory, in a mount namespace of its own.
fn on_small_disk(state_dir: &Path) -> Command {
    let script = "mount -t tmpfs -o size=2m inquest-test \"$1\" && shift && exec \"$@\"";
    let mut command = unshare();
    command
        .args(["sh", "-c", script, "sh"])
        .arg(state_dir)
        .arg(super::daemon::BINARY);
    command
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    command
}

fn can_mount() -> bool {
    let script = "mount -t tmpfs inquest-test /mnt";
    let tried = unshare().args(["sh", "-c", script]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// An aggregator on a small disk that has no room left, and an agent whose batch 2 waits for room.
struct FullDisk {
    _home: Home,
    daemon: Daemon,
    agent: Agent,
    ballast: PathBuf,
    /// Ids of the signals of the batch that waits.
    waiting: Vec<String>,
}

impl FullDisk {
    /// `None` where a test may not mount anything.
    async fn new() -> Option<Self> {
        if !can_mount() {
            testkit::skip("a file system of its own needs root and unshare(1)");
            return None;
        }
        let home = Home::new();
        fs::create_dir(home.state_dir()).unwrap();
        let daemon = home.start_by(on_small_disk(&home.state_dir())).await;
        let (mut agent, _) = Agent::connect(&daemon, "n1", 7).await;
        agent.send(batch(7, 1, 1..4)).await;
        assert_eq!(agent.ack().await, (7, 1));
        // The aggregator's view of the directory.
        let inside = format!("/proc/{}/root{}", daemon.pid(), home.state_dir().display());
        let ballast = Path::new(&inside).join("ballast");
        fill(&ballast);
        // What is written already may have room in the write-ahead log; a batch of this size has not.
        let mut large = batch(7, 2, 4..1004);
        for signal in &mut large.signals {
            signal.id = format!("{}-{}", signal.id, random_text());
        }
        let waiting = large
            .signals
            .iter()
            .map(|signal| signal.id.clone())
            .collect();
        agent.send(large).await;
        poll("the status to say so", async || {
            let status = get(&daemon, "/api/v1/status").await.json();
            let error = status["store"]["error"].as_str()?.to_owned();
            error.contains("full").then_some(())
        })
        .await;
        Some(Self {
            _home: home,
            daemon,
            agent,
            ballast,
            waiting,
        })
    }
}

#[tokio::test]
async fn a_full_disk_acks_nothing_says_so_and_goes_on_when_there_is_room() {
    let Some(mut full) = FullDisk::new().await else {
        return;
    };
    assert_eq!(get(&full.daemon, "/healthz").await.status, 200);
    assert_eq!(signal_ids(&full.daemon).await.len(), 3);
    let mut other = Agent::saying(&full.daemon, hello("n2", 8)).await;
    let refused = other.end().await;
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");

    fs::remove_file(&full.ballast).unwrap();
    assert_eq!(full.agent.ack().await, (7, 2));
    assert_eq!(signal_ids(&full.daemon).await.split_off(3), full.waiting);
    let status = get(&full.daemon, "/api/v1/status").await.json();
    assert_eq!(status["store"].get("error"), None);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_full_disk_for_ever() {
    let Some(full) = FullDisk::new().await else {
        return;
    };
    let (status, took) = full.daemon.terminate().await;
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// Writes until there is no room.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).unwrap();
    for size in [64 << 10, 4 << 10, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Text that does not compress.
fn random_text() -> String {
    let mut bytes = [0; 256];
    getrandom::fill(&mut bytes).unwrap();
    bytes
        .iter()
        .map(|byte| char::from(b'!' + byte % 90))
        .collect()
}
