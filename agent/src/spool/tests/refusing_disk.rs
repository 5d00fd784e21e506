//! The spool on a disk that takes no writes for a while; must not need one that is really full.

use super::*;

/// The spool's directory is moved away, so that no segment can be begun; moving it back is the
/// disk's recovery.
struct RefusingDisk {
    bench: Bench,
    away: TempDir,
}

impl RefusingDisk {
    fn new() -> Self {
        let mut bench = Bench::new(LARGE);
        // Fills the first segment, so that the next append needs another.
        bench.append(1, MAX_BATCH_LEN - 100);
        let away = tempfile::tempdir().unwrap();
        fs::rename(bench.dir.path(), away.path().join("spool")).unwrap();
        Self { bench, away }
    }

    /// Gives the disk back to a new agent.
    fn kill(&mut self) {
        fs::rename(self.away.path().join("spool"), self.bench.dir.path()).unwrap();
        self.bench.reopen();
    }

    /// Gives the disk back and waits until the spool has noticed.
    async fn recover(&mut self) {
        fs::rename(self.away.path().join("spool"), self.bench.dir.path()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.bench.spool.is_durable() {
            assert!(Instant::now() < deadline, "{:?}", self.bench.spool.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.bench.spool.tend();
        }
    }
}

#[tokio::test]
async fn batches_a_disk_refuses_are_kept_in_memory_sent_and_written_later() {
    let mut disk = RefusingDisk::new();
    for _ in 0..4 {
        disk.bench.append(1, 10);
    }
    let status = disk.bench.spool.status();
    assert_eq!((status.memory_batches, status.batches), (4, 5));
    assert!(status.degraded.is_some());
    assert!(!disk.bench.spool.is_durable());

    // The first three are sent and the first two acked, one of them out of memory.
    for _ in 0..3 {
        disk.bench.spool.hand_out_next();
    }
    disk.bench.spool.ack(1, 2);
    assert_eq!(disk.bench.spool.status().memory_batches, 3);

    disk.recover().await;
    let status = disk.bench.spool.status();
    assert_eq!((status.memory_batches, status.degraded), (0, None));
    assert!(disk.bench.spool.is_durable());
    // Number three is still in flight and not sent twice.
    let next: Vec<u64> = std::iter::from_fn(|| disk.bench.spool.hand_out_next())
        .map(|b| b.sequence)
        .collect();
    assert_eq!(next, [4, 5]);
    disk.bench.spool.ack(1, 3);
    disk.bench.reopen();
    assert_eq!(
        disk.bench
            .drain()
            .iter()
            .map(|b| b.sequence)
            .collect::<Vec<_>>(),
        [4, 5]
    );
    assert!(disk.bench.lost.snapshot().is_empty());
}

#[test]
fn what_only_a_batch_in_memory_tells_is_told_by_the_next_agent() {
    let mut disk = RefusingDisk::new();
    disk.bench.append(3, MAX_BATCH_LEN);
    disk.bench.append(1, 0);
    assert_eq!(disk.bench.spool.status().memory_batches, 1);
    disk.kill();
    disk.bench.append(1, 0);
    assert_eq!(told(&disk.bench.drain(), reason::OVERSIZED), 3);
}

#[tokio::test]
async fn what_a_batch_in_memory_tells_is_told_once_when_it_is_written() {
    let mut disk = RefusingDisk::new();
    disk.bench.append(3, MAX_BATCH_LEN);
    disk.bench.append(1, 0);
    disk.bench.append(1, 0);
    let before = fs::read(disk.away.path().join("spool/cursor")).unwrap();
    disk.recover().await;
    for killed_before_the_cursor in [false, true] {
        if killed_before_the_cursor {
            fs::write(disk.bench.dir.path().join("cursor"), &before).unwrap();
        }
        disk.bench.reopen();
        assert_eq!(told(&disk.bench.drain(), reason::OVERSIZED), 3);
        assert!(disk.bench.spool.cursor.untold.is_empty());
    }
}

#[tokio::test]
async fn what_neither_disk_nor_memory_takes_is_counted_and_told() {
    let mut disk = RefusingDisk::new();
    let each = 200_000;
    for _ in 0..20 {
        disk.bench.append(1, each);
    }
    let kept = disk.bench.spool.status().memory_batches;
    assert!((kept * each as u64) <= tail::MAX_TAIL_BYTES as u64);
    let lost = 20 - kept;
    assert_eq!(disk.bench.lost(reason::DISK_FULL), lost);

    disk.recover().await;
    disk.bench.append(1, 0);
    let batches = disk.bench.drain();
    let sequences: Vec<u64> = batches.iter().map(|batch| batch.sequence).collect();
    assert_eq!(
        sequences,
        (1..=kept + 2).collect::<Vec<_>>(),
        "a refused batch takes no sequence"
    );
    assert_eq!(told(&batches, reason::DISK_FULL), lost);
}
