//! Gathers signals and losses into batches and names the signals; must not wait for more.

use inquest_proto::v1;
use prost::Message as _;

use crate::loss::Losses;

/// Signals in a batch at most; the aggregator admits many more.
pub const MAX_BATCH_SIGNALS: usize = 500;
/// Encoded bytes at which a batch is cut: well below the 2 MiB of a message that the aggregator takes,
/// and below the largest record of the spool even with one more signal.
pub const MAX_BATCH_BYTES: usize = 512 << 10;

/// Builds the batches of one agent process.
#[derive(Debug)]
pub struct Batcher {
    start_id: u64,
    last_signal: u64,
    signals: Vec<v1::Signal>,
    bytes: usize,
    lost: Losses,
}

impl Batcher {
    /// Begins for a process.
    pub fn new(start_id: u64) -> Self {
        Self {
            start_id,
            last_signal: 0,
            signals: Vec::new(),
            bytes: 0,
            lost: Losses::default(),
        }
    }

    /// Names a signal and adds it; returns the batch when that filled it.
    pub fn push(&mut self, mut signal: v1::Signal) -> Option<v1::SignalBatch> {
        self.last_signal += 1;
        signal.id = format!("{:016x}-{}", self.start_id, self.last_signal);
        self.bytes += signal.encoded_len();
        self.signals.push(signal);
        let full = self.signals.len() >= MAX_BATCH_SIGNALS || self.bytes >= MAX_BATCH_BYTES;
        if full { self.cut() } else { None }
    }

    /// Adds a loss that the batch will tell.
    pub fn lose(&mut self, loss: &v1::Loss) {
        self.lost.add_loss(loss);
    }

    /// Returns what was gathered; none when that is nothing.
    pub fn cut(&mut self) -> Option<v1::SignalBatch> {
        if self.signals.is_empty() && self.lost.is_empty() {
            return None;
        }
        self.bytes = 0;
        Some(v1::SignalBatch {
            lost: std::mem::take(&mut self.lost).to_wire(),
            signals: std::mem::take(&mut self.signals),
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use inquest_proto::v1::loss::Stage;
    use proptest::prelude::*;

    use super::*;

    fn signal(filename_len: usize) -> v1::Signal {
        let exec = v1::ProcessExec {
            filename: "f".repeat(filename_len),
        };
        v1::Signal {
            body: Some(v1::signal::Body::ProcessExec(exec)),
            ..Default::default()
        }
    }

    #[test]
    fn names_signals_by_process_and_number() {
        let mut batcher = Batcher::new(0xab);
        assert_eq!(batcher.push(signal(1)), None);
        assert_eq!(batcher.cut().unwrap().signals[0].id, "00000000000000ab-1");
        batcher.push(signal(1));
        assert_eq!(batcher.cut().unwrap().signals[0].id, "00000000000000ab-2");
        assert_eq!(batcher.cut(), None);
    }

    #[test]
    fn a_loss_alone_makes_a_batch_and_is_told_once() {
        let mut batcher = Batcher::new(1);
        let loss = v1::Loss {
            stage: Stage::RingBuffer as i32,
            reason: "bulk_lane".into(),
            count: 2,
            ..v1::Loss::default()
        };
        batcher.lose(&loss);
        batcher.lose(&loss);
        assert_eq!(batcher.cut().unwrap().lost, [v1::Loss { count: 4, ..loss }]);
        assert_eq!(batcher.cut(), None);
    }

    proptest! {
        #[test]
        fn keeps_every_signal_in_order_and_within_bounds(
            sizes in prop::collection::vec(0_usize..4000, 0..1500))
        {
            let mut batcher = Batcher::new(1);
            let mut batches: Vec<_> =
                sizes.iter().filter_map(|size| batcher.push(signal(*size))).collect();
            batches.extend(batcher.cut());
            let ids: Vec<_> = batches.iter().flat_map(|b| &b.signals).map(|s| s.id.clone()).collect();
            let expected: Vec<_> = (1..=sizes.len()).map(|n| format!("{:016x}-{n}", 1)).collect();
            prop_assert_eq!(ids, expected);
            for batch in batches {
                prop_assert!(batch.signals.len() <= MAX_BATCH_SIGNALS);
                prop_assert!(batch.encoded_len() <= crate::spool::MAX_BATCH_LEN);
            }
        }
    }
}
