//! Brings observed signals to the aggregator: intake into the spool, and a stream out of it; must
//! not look into signals.

pub mod backoff;
pub mod batch;
pub mod error;
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
    fn advance(&mut self, watermark: Timestamp) {
        if !self.spool.with(|spool| spool.is_durable()) {
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
