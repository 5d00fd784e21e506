//! Up to where each agent process's batches are taken. Must agree with the store: it moves with each
//! step, and nobody hears of a move before its commit.

use std::collections::HashMap;

use super::Stored;
use crate::store::{Position, StreamKey};

/// Most agent processes remembered per agent; the store forgets with the same bound.
const MAX_STARTS_PER_AGENT: usize = 64;

/// What to do with a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Store,
    /// Everything up to this sequence is stored already.
    Duplicate {
        stored: u64,
    },
    /// Sequences are missing before it.
    Hole {
        expected: u64,
    },
}

/// Positions of all agents.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// For each agent its processes, the least recently moved first.
    agents: HashMap<String, Stored>,
}

impl Positions {
    /// Continues from stored positions, the least recently moved first.
    pub(super) fn restore(stored: Vec<Position>) -> Self {
        let mut positions = Self::default();
        for Position { key, sequence } in stored {
            positions.advance(&key, sequence);
        }
        positions
    }

    /// Judges a batch that comes after `skipped` sequences which the agent gave up.
    ///
    /// The first batch of an unknown process is taken wherever it begins: what came before it was
    /// acked by an aggregator whose store is gone, and will not be sent again.
    pub(super) fn judge(&self, key: &StreamKey, sequence: u64, skipped: u64) -> Verdict {
        let Some(stored) = self.stored(key) else {
            return Verdict::Store;
        };
        if sequence <= stored {
            return Verdict::Duplicate { stored };
        }
        let expected = stored.saturating_add(1);
        if sequence > expected.saturating_add(skipped) {
            return Verdict::Hole { expected };
        }
        Verdict::Store
    }

    /// Records that everything up to `sequence` is part of a step.
    pub(super) fn advance(&mut self, key: &StreamKey, sequence: u64) {
        let starts = self.agents.entry(key.agent_id.clone()).or_default();
        starts.retain(|(start_id, _)| *start_id != key.start_id);
        starts.push((key.start_id, sequence));
        let surplus = starts.len().saturating_sub(MAX_STARTS_PER_AGENT);
        starts.drain(..surplus);
    }

    /// All remembered processes of one agent with their sequences.
    pub(super) fn of_agent(&self, agent_id: &str) -> Stored {
        self.agents.get(agent_id).cloned().unwrap_or_default()
    }

    /// Up to where one process is taken; `None` when it is unknown.
    pub(super) fn stored(&self, key: &StreamKey) -> Option<u64> {
        let starts = self.agents.get(&key.agent_id)?;
        let start = starts
            .iter()
            .find(|(start_id, _)| *start_id == key.start_id);
        start.map(|(_, sequence)| *sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(start_id: u64) -> StreamKey {
        StreamKey {
            agent_id: "a1".into(),
            start_id,
        }
    }

    #[test]
    fn judges_by_what_is_stored_and_what_was_skipped() {
        let mut positions = Positions::default();
        assert_eq!(positions.judge(&key(7), 1, 0), Verdict::Store);
        positions.advance(&key(7), 5);
        let cases = [
            (5, 0, Verdict::Duplicate { stored: 5 }),
            (1, 9, Verdict::Duplicate { stored: 5 }),
            (6, 0, Verdict::Store),
            (7, 0, Verdict::Hole { expected: 6 }),
            (7, 1, Verdict::Store),
            (7, 4, Verdict::Store),
            (u64::MAX, 1, Verdict::Hole { expected: 6 }),
            (u64::MAX, u64::MAX, Verdict::Store),
        ];
        for (sequence, skipped, expected) in cases {
            assert_eq!(
                positions.judge(&key(7), sequence, skipped),
                expected,
                "sequence {sequence} after {skipped} skipped"
            );
        }
    }

    #[test]
    fn takes_an_unknown_process_wherever_it_begins() {
        assert_eq!(Positions::default().judge(&key(7), 57, 0), Verdict::Store);
    }

    #[test]
    fn forgets_the_processes_that_moved_least_recently() {
        let mut positions = Positions::default();
        for start_id in 1..=100 {
            positions.advance(&key(start_id), 1);
            positions.advance(&key(1), start_id);
        }
        let starts = positions.of_agent("a1");
        assert_eq!(starts.len(), MAX_STARTS_PER_AGENT);
        assert_eq!(starts.last(), Some(&(1, 100)));
        assert_eq!(positions.stored(&key(2)), None);
    }
}
