//! The spool on a disk that is really full: a small tmpfs in a mount namespace of its own.

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use inquest_agent::loss::{LossTotal, reason};
    use inquest_agent::spool::Spool;
    use inquest_proto::v1;
    use inquest_proto::v1::loss::Stage;
    use tokio::time::{Instant, sleep};

    /// Names the mounted directory to the copy of this test that runs in the namespace.
    const MOUNTED: &str = "INQUEST_TEST_FULL_DISK";
    const MOUNT_AND_RUN: &str = "mount -t tmpfs -o size=4m inquest-test \"$0\" && exec \"$@\"";

    #[tokio::test]
    async fn a_full_disk_degrades_the_spool_until_there_is_room_again() {
        if let Some(mounted) = std::env::var_os(MOUNTED) {
            return fill_and_recover(&PathBuf::from(mounted)).await;
        }
        if !rustix::process::geteuid().is_root() {
            return testkit::skip("a disk of its own needs root to be mounted");
        }
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                MOUNT_AND_RUN,
            ])
            .arg(dir.path())
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "tests::a_full_disk_degrades_the_spool_until_there_is_room_again",
            ])
            .env(MOUNTED, dir.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&said)
        );
        assert!(String::from_utf8_lossy(&said).contains("1 passed"));
    }

    async fn fill_and_recover(disk: &Path) {
        let lost = LossTotal::default();
        let dir = disk.join("spool");
        let mut spool = Spool::open(&dir, 1, 64 << 20, lost.clone()).unwrap();
        append(&mut spool);
        let ballast = disk.join("ballast");
        fill(&ballast);

        // 2 MiB fit into memory, the rest is counted.
        let appended = 100;
        for _ in 1..appended {
            append(&mut spool);
        }
        let status = spool.status();
        assert!(status.degraded.unwrap().contains("No space left on device"));
        assert!(status.memory_batches > 20 && status.memory_bytes <= 2 << 20);
        assert!(!spool.is_durable());
        let refused = lost.snapshot().count(Stage::Spool, reason::DISK_FULL);
        assert_eq!(refused, appended - status.batches);

        // What is in memory can be sent all the while.
        let sent: Vec<_> = std::iter::from_fn(|| spool.hand_out_next()).collect();
        assert_eq!(sent.len() as u64, status.batches);
        spool.ack(1, 3);

        fs::remove_file(ballast).unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while !spool.is_durable() {
            assert!(Instant::now() < deadline, "{:?}", spool.status());
            sleep(Duration::from_millis(20)).await;
            spool.tend();
        }
        assert_eq!(spool.status().degraded, None);
        append(&mut spool);
        drop(spool);

        let mut spool = Spool::open(&dir, 2, 64 << 20, lost).unwrap();
        let left: Vec<_> = std::iter::from_fn(|| spool.hand_out_next()).collect();
        let sequences: Vec<_> = left.iter().map(|batch| batch.sequence).collect();
        assert_eq!(sequences, (4..=status.batches + 1).collect::<Vec<_>>());
        let told = left
            .iter()
            .flat_map(|batch| &batch.lost)
            .map(|loss| loss.count)
            .sum::<u64>();
        assert_eq!(told, refused);
    }

    /// Appends a batch of one signal and some 40 KB.
    fn append(spool: &mut Spool) {
        let signal = v1::Signal {
            node: "x".repeat(40_000),
            ..Default::default()
        };
        spool.append(v1::SignalBatch {
            signals: vec![signal],
            ..Default::default()
        });
    }

    /// Writes a file until the disk takes no more.
    fn fill(path: &Path) {
        let mut file = fs::File::create(path).unwrap();
        while file.write_all(&[1; 1024]).is_ok() {}
    }
}
