//! Collects what files tell, where the kernel takes no programs at all. Must not claim that the node is watched: it hands
//! on no watermark.

use std::{fmt, sync::Arc};

use inquest_proto::v1;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    CLOCK_INTERVAL, CollectorError, Observed, Out, POLL_INTERVAL,
    admission::Admission,
    clock::{Clock, ktime_now_ns},
    pace::Pace,
    source::Scheduled,
    sources::{self, SourceParts},
};
use crate::{attribute::Attributor, loss::Losses};

/// Reads the sources that need nothing but files.
pub struct FileCollector {
    attributor: Attributor,
    losses: Losses,
    admission: Admission,
    sources: Vec<Scheduled>,
    statuses: Vec<v1::ProbeStatus>,
}

impl fmt::Debug for FileCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileCollector").finish_non_exhaustive()
    }
}

impl FileCollector {
    /// Opens the sources and learns the cgroups that there are.
    pub(crate) fn open(parts: &SourceParts) -> Self {
        let sources = sources::open_polled(parts);
        let cgroups = Arc::clone(&parts.cgroups);
        Self {
            attributor: Attributor::new(cgroups, Clock::measure(), ktime_now_ns()),
            losses: Losses::default(),
            admission: Admission::default(),
            sources: sources.scheduled,
            statuses: sources.statuses,
        }
    }

    /// Returns how the sources fare.
    pub fn statuses(&self) -> &[v1::ProbeStatus] {
        &self.statuses
    }

    /// Hands on what it reads to `out` until `shutdown`; what finds no room is dropped and counted.
    ///
    /// # Errors
    ///
    /// Fails when the kernel grants no timer.
    pub async fn run(
        mut self,
        out: mpsc::Sender<Observed>,
        shutdown: CancellationToken,
    ) -> Result<(), CollectorError> {
        let out = Out {
            sender: out,
            shutdown,
        };
        let mut poll = Pace::every(POLL_INTERVAL).map_err(CollectorError::Pace)?;
        let mut clock_measured = Instant::now();
        loop {
            tokio::select! {
                () = out.shutdown.cancelled() => return Ok(()),
                ticked = poll.tick() => ticked.map_err(CollectorError::Pace)?,
            }
            for source in &mut self.sources {
                for signal in source.read_if_due(&mut self.attributor, &mut self.losses) {
                    out.send_or_drop(signal, &mut self.admission, &mut self.losses);
                }
            }
            out.report(&mut self.losses);
            if clock_measured.elapsed() >= CLOCK_INTERVAL {
                clock_measured = Instant::now();
                self.attributor.set_clock(Clock::measure());
            }
        }
    }
}
