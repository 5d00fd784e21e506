//! Where in the sequences a stream is, and so how many of them are missing before a batch; must not
//! send anything.

use std::collections::HashMap;

use inquest_proto::v1;

/// The last sequence that the aggregator has or was sent, for the start id in turn.
///
/// Batches come grouped by start id, so one position is enough: what the aggregator knew of a
/// start id at Welcome is where that start id's batches begin.
#[derive(Debug)]
pub(super) struct SentPosition {
    pub(super) stored: HashMap<u64, u64>,
    start_id: u64,
    sequence: u64,
}

impl SentPosition {
    /// Begins with what Welcome says is stored.
    pub(super) fn new(stored: &[v1::Ack]) -> Self {
        let stored = stored
            .iter()
            .map(|ack| (ack.start_id, ack.sequence))
            .collect();
        Self {
            stored,
            start_id: 0,
            sequence: 0,
        }
    }

    /// Fills in how many sequences are missing before a batch, and moves on to it.
    pub(super) fn place(&mut self, mut batch: v1::SignalBatch) -> v1::SignalBatch {
        if batch.start_id != self.start_id {
            self.start_id = batch.start_id;
            self.sequence = self
                .stored
                .get(&batch.start_id)
                .copied()
                .unwrap_or_default();
        }
        batch.skipped = batch
            .sequence
            .saturating_sub(self.sequence)
            .saturating_sub(1);
        self.sequence = self.sequence.max(batch.sequence);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(start_id: u64, sequence: u64) -> v1::SignalBatch {
        v1::SignalBatch {
            start_id,
            sequence,
            ..Default::default()
        }
    }

    #[test]
    fn counts_the_sequences_missing_before_a_batch() {
        let stored = [v1::Ack {
            start_id: 1,
            sequence: 4,
        }];
        let mut position = SentPosition::new(&stored);
        let skipped: Vec<u64> = [(1, 5), (1, 6), (1, 9), (2, 1), (2, 4), (3, 7)]
            .into_iter()
            .map(|(start_id, sequence)| position.place(batch(start_id, sequence)).skipped)
            .collect();
        assert_eq!(skipped, [0, 0, 2, 0, 2, 6]);
    }

    #[test]
    fn a_batch_that_is_stored_already_misses_nothing() {
        let mut position = SentPosition::new(&[v1::Ack {
            start_id: 1,
            sequence: 9,
        }]);
        assert_eq!(position.place(batch(1, 3)).skipped, 0);
        assert_eq!(position.place(batch(1, 10)).skipped, 0);
    }
}
