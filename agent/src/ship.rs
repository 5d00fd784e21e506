//! Brings observed signals to the aggregator: intake into the spool, and a stream out of it; must
//! not look into signals.

pub mod backoff;
pub mod batch;
pub mod error;
mod position;
pub mod status;
pub mod stream;

use inquest_proto::v1;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tracing::warn;

use self::batch::{Batcher, MAX_BATCH_SIGNALS};
use crate::collect::Observed;
use crate::coverage::Coverage;
use crate::loss::LossTotal;
use crate::metrics::ShipMetrics;
use crate::spool::SharedSpool;

/// Things observed that wait for intake. At 1 KiB each this is at most 2 MiB, and holds what a
/// burst brings while one batch is written to disk.
pub const MAX_OBSERVED: usize = 2048;

/// Takes in what was observed, in order: signals and losses into the spool, and only then the
/// watermark behind them.
#[derive(Debug)]
pub struct Intake {
    /// Gathers the signals.
    pub batcher: Batcher,
    /// Where the batches go.
    pub spool: SharedSpool,
    /// Where watermarks go.
    pub coverage: Coverage,
    /// Where losses are summed.
    pub lost: LossTotal,
    /// What is counted.
    pub metrics: ShipMetrics,
}

impl Intake {
    /// Runs until every sender is gone and everything they sent is in the spool; gives the coverage
    /// file back.
    ///
    /// A batch is cut whenever nothing more is waiting: alone, a kill leaves at once; in a burst,
    /// batches grow by themselves.
    pub async fn run(mut self, mut observed: mpsc::Receiver<Observed>) -> Coverage {
        let mut burst = Vec::new();
        while observed.recv_many(&mut burst, MAX_BATCH_SIGNALS).await > 0 {
            self.metrics.queue_depth.set(observed.len() as i64);
            for one in burst.drain(..) {
                self.take(one);
            }
            self.flush();
        }
        self.coverage
    }

    fn take(&mut self, observed: Observed) {
        match observed {
            Observed::Signal(signal) => {
                self.metrics.received.inc();
                if let Some(batch) = self.batcher.push(*signal) {
                    self.spool.append(batch);
                }
            }
            Observed::Loss(loss) => {
                self.lost.add_loss(&loss);
                self.batcher.lose(&loss);
            }
            Observed::Watermark(watermark) => {
                self.flush();
                self.advance(watermark);
            }
        }
    }

    fn flush(&mut self) {
        if let Some(batch) = self.batcher.cut() {
            self.spool.append(batch);
        }
    }

    /// Moves the watermark, unless something observed before it would not survive the process.
    ///
    /// Watermarks come steadily, whether or not there is an aggregator and anything to spool: a disk
    /// that takes writes again is noticed here at the latest.
    fn advance(&mut self, watermark: Timestamp) {
        let durable = self.spool.with(|spool| {
            spool.tend();
            spool.is_durable()
        });
        if !durable {
            return;
        }
        match self.coverage.advance(watermark) {
            Ok(()) => {
                self.metrics.coverage_failing.set(0);
            }
            Err(error) if self.metrics.coverage_failing.set(1) == 0 => {
                warn!(%error, "failed to write the coverage file; a restart will report a longer gap");
            }
            Err(_) => {}
        }
    }
}

/// Makes the id of this process: random and never 0.
pub fn new_start_id() -> Result<u64, getrandom::Error> {
    loop {
        match getrandom::u64()? {
            0 => {}
            id => return Ok(id),
        }
    }
}

/// Returns the observation of a signal.
pub fn observe(signal: v1::Signal) -> Observed {
    Observed::Signal(Box::new(signal))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use inquest_proto::v1::loss::Stage;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::coverage::Previous;
    use crate::spool::{MAX_BATCH_LEN, Spool, read_unsettled};

    const START_ID: u64 = 0xa;

    fn intake(dir: &Path) -> Intake {
        let lost = LossTotal::default();
        let spool = Spool::open(&dir.join("spool"), START_ID, 64 << 20, lost.clone()).unwrap();
        Intake {
            batcher: Batcher::new(START_ID),
            spool: SharedSpool::new(spool),
            coverage: Coverage::open(dir, "boot-a").unwrap().0,
            lost,
            metrics: ShipMetrics::default(),
        }
    }

    fn spooled(dir: &Path) -> Vec<v1::SignalBatch> {
        read_unsettled(&dir.join("spool")).unwrap()
    }

    fn watermark(dir: &Path) -> Option<i64> {
        match Coverage::open(dir, "boot-a").unwrap().1 {
            Previous::Watched { until, .. } => Some(until.as_second()),
            Previous::Nothing | Previous::Unknown => None,
        }
    }

    fn at(second: i64) -> Observed {
        Observed::Watermark(Timestamp::from_second(second).unwrap())
    }

    fn signal() -> Observed {
        observe(v1::Signal::default())
    }

    #[tokio::test]
    async fn a_burst_is_one_batch_and_all_of_it_is_spooled_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (sender, receiver) = mpsc::channel(MAX_OBSERVED);
        let loss = v1::Loss {
            stage: Stage::Queue as i32,
            reason: "full".into(),
            count: 3,
            ..v1::Loss::default()
        };
        for one in [signal(), Observed::Loss(loss.clone()), signal()] {
            sender.send(one).await.unwrap();
        }
        drop(sender);
        let intake = intake(dir.path());
        let (metrics, lost) = (intake.metrics.clone(), intake.lost.clone());
        intake.run(receiver).await;
        let batches = spooled(dir.path());
        assert_eq!(batches.len(), 1);
        assert_eq!((batches[0].start_id, batches[0].sequence), (START_ID, 1));
        assert_eq!(batches[0].signals[1].id, "000000000000000a-2");
        assert_eq!(batches[0].lost, std::slice::from_ref(&loss));
        assert_eq!(metrics.received.get(), 2);
        assert_eq!(lost.snapshot().to_wire(), [loss]);
    }

    #[test]
    fn the_watermark_follows_what_is_spooled_and_never_runs_ahead() {
        let dir = tempfile::tempdir().unwrap();
        let mut intake = intake(dir.path());
        intake.take(signal());
        assert_eq!(
            (spooled(dir.path()).len(), watermark(dir.path())),
            (0, None)
        );
        intake.take(at(5));
        assert_eq!(
            (spooled(dir.path()).len(), watermark(dir.path())),
            (1, Some(5))
        );
    }

    #[tokio::test]
    async fn the_watermark_stays_while_batches_are_in_memory_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut intake = intake(dir.path());
        intake.take(at(5));
        // The first segment is full, and with its directory gone there can be no second.
        let node = "x".repeat(MAX_BATCH_LEN - 100);
        intake.take(observe(v1::Signal {
            node,
            ..Default::default()
        }));
        std::fs::rename(dir.path().join("spool"), dir.path().join("away")).unwrap();
        intake.take(signal());
        intake.take(at(6));
        assert_eq!(watermark(dir.path()), Some(5));

        // No stream runs and nothing more is spooled: the watermark alone finds the disk recovered.
        std::fs::rename(dir.path().join("away"), dir.path().join("spool")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while watermark(dir.path()) != Some(7) {
            assert!(Instant::now() < deadline, "the watermark stays behind");
            sleep(Duration::from_millis(20)).await;
            intake.take(at(7));
        }
        assert_eq!(spooled(dir.path()).len(), 2);
    }
}
