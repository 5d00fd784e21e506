//! What a source is: something read now and then rather than record by record. Must not know which ones there are.

use std::time::Duration;

use inquest_proto::v1;
use tokio::time::Instant;

use crate::{attribute::Attributor, loss::Losses};

/// A map in which programs count, or files of the kernel. Reading it must not block: what may block belongs on a
/// thread of the source's own.
pub(crate) trait Source: Send {
    /// Returns the time between two readings; no shorter than that of the bulk lane has an effect.
    fn interval(&self) -> Duration;

    /// Returns what there is to tell since the last time. What could not be kept is added to `losses`.
    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal>;

    /// Gives up what it can do without, as memory is near its bound; what it has gathered is told at its next reading.
    fn shed(&mut self) {}

    /// Adds what must not go uncounted at the stop of the agent to `losses`.
    fn finish(&mut self, _attributor: &mut Attributor, _losses: &mut Losses) {}
}

/// A source and when it is to be read next.
pub(crate) struct Scheduled {
    source: Box<dyn Source>,
    due: Instant,
}

impl Scheduled {
    /// Has `source` read for the first time after one interval.
    pub(crate) fn new(source: Box<dyn Source>) -> Self {
        let due = Instant::now() + source.interval();
        Self { source, due }
    }

    /// Has the source tell what was lost since the last time, whether or not it is time to.
    pub(crate) fn finish(&mut self, attributor: &mut Attributor, losses: &mut Losses) {
        self.source.finish(attributor, losses);
    }

    /// Has the source give up what it can do without.
    pub(crate) fn shed(&mut self) {
        self.source.shed();
    }

    /// Reads the source if it is time to.
    pub(crate) fn read_if_due(
        &mut self,
        attributor: &mut Attributor,
        losses: &mut Losses,
    ) -> Vec<v1::Signal> {
        let now = Instant::now();
        if now < self.due {
            return Vec::new();
        }
        self.due = now + self.source.interval();
        self.source.read(attributor, losses)
    }
}
