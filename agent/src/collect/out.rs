//! The queue to intake: what is urgent waits for room in it, the rest is dropped and counted. Must not decide what is
//! urgent.

use std::time::Duration;

use inquest_proto::v1::{self, loss::Stage};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::{
    Observed,
    admission::{Admission, MEMORY_BOUND},
};
use crate::loss::Losses;

/// How far a watermark stays behind: a record is dated before it is written, and a CPU may be interrupted in
/// between.
const WATERMARK_MARGIN: Duration = Duration::from_millis(1);

/// Where a collector hands things on to, and when it is to end.
pub(super) struct Out {
    pub(super) sender: mpsc::Sender<Observed>,
    pub(super) shutdown: CancellationToken,
}

impl Out {
    /// Hands on `losses`; what finds no room is left in them for the next time.
    pub(super) fn report(&self, losses: &mut Losses) {
        for loss in std::mem::take(losses).to_wire() {
            if let Err(TrySendError::Full(Observed::Loss(loss))) =
                self.sender.try_send(Observed::Loss(loss))
            {
                losses.add_loss(&loss);
            }
        }
    }

    /// Hands on that everything before `began` was, unless something that was lost could not be.
    pub(super) fn advance(&self, began: jiff::Timestamp, losses: &Losses) {
        if losses.is_empty() {
            let watermark = began.checked_sub(WATERMARK_MARGIN).unwrap_or(began);
            // When the queue is full, the next one does as well.
            drop(self.sender.try_send(Observed::Watermark(watermark)));
        }
    }

    /// Hands on `signal`, waiting for room, except when it is time to end.
    pub(super) async fn send(&self, signal: v1::Signal, losses: &mut Losses) {
        let permit = tokio::select! {
            biased;
            permit = self.sender.reserve() => permit.ok(),
            () = self.shutdown.cancelled() => None,
        };
        match permit {
            Some(permit) => permit.send(Observed::Signal(Box::new(signal))),
            None => losses.add(Stage::Queue, "urgent_lane", 1),
        }
    }

    /// Hands on `signal` if there is room and memory for it now.
    pub(super) fn send_or_drop(
        &self,
        signal: v1::Signal,
        admission: &mut Admission,
        losses: &mut Losses,
    ) {
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        if !admission.has_room(waiting) {
            admission.count(&signal, Stage::RateLimit, MEMORY_BOUND, losses);
        } else if let Err(unsent) = self.sender.try_send(Observed::Signal(Box::new(signal)))
            && let Observed::Signal(signal) = unsent.into_inner()
        {
            admission.count(&signal, Stage::Queue, "bulk_lane", losses);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_on_no_watermark_before_the_losses_it_covers() {
        let (sender, mut receiver) = mpsc::channel(1);
        let shutdown = CancellationToken::new();
        let out = Out { sender, shutdown };
        let began = jiff::Timestamp::now();
        let mut losses = Losses::default();
        losses.add(Stage::RingBuffer, "urgent_lane", 3);
        losses.add(Stage::RingBuffer, "bulk_lane", 2);
        for expected in [("bulk_lane", 2), ("urgent_lane", 3)] {
            out.report(&mut losses);
            out.advance(began, &losses);
            let Some(Observed::Loss(loss)) = receiver.blocking_recv() else {
                panic!("no loss")
            };
            assert_eq!((loss.reason.as_str(), loss.count), expected);
        }
        out.report(&mut losses);
        out.advance(began, &losses);
        assert!(matches!(
            receiver.blocking_recv(),
            Some(Observed::Watermark(at)) if at < began
        ));
    }
}
