//! Batches kept in memory while the disk takes no more; must not grow beyond its bound.

use std::collections::VecDeque;

use super::record::Header;
use crate::loss::Losses;

/// Memory for batches that the disk refused. Some thousand signals: enough to ride out a short
/// stall, and small beside the agent's 40 MiB.
pub(super) const MAX_TAIL_BYTES: usize = 2 << 20;

/// A bounded queue behind the log, with how much of it has been read.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<TailEntry>,
    bytes: usize,
    read: usize,
}

/// One batch as it would be on disk.
#[derive(Debug)]
pub(super) struct TailEntry {
    /// What describes the payload.
    pub(super) header: Header,
    /// The encoded batch.
    pub(super) payload: Vec<u8>,
    /// What it tells beyond the losses it came with; untold until it is on disk.
    pub(super) tells: Losses,
}

impl Tail {
    /// Adds a batch, or gives it back when it does not fit.
    pub(super) fn push(&mut self, entry: TailEntry) -> Result<(), TailEntry> {
        if self.bytes + entry.payload.len() > MAX_TAIL_BYTES {
            return Err(entry);
        }
        self.bytes += entry.payload.len();
        self.entries.push_back(entry);
        Ok(())
    }

    /// Returns the oldest batch.
    pub(super) fn front(&self) -> Option<&TailEntry> {
        self.entries.front()
    }

    /// Removes the oldest batch; tells whether it had been read.
    pub(super) fn pop(&mut self) -> bool {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.payload.len();
        }
        let was_read = self.read > 0;
        self.read = self.read.saturating_sub(1);
        was_read
    }

    /// Returns the next batch that was not read since the last rewind.
    pub(super) fn read(&mut self) -> Option<&TailEntry> {
        let entry = self.entries.get(self.read)?;
        self.read += 1;
        Some(entry)
    }

    /// Begins reading anew.
    pub(super) fn rewind(&mut self) {
        self.read = 0;
    }

    /// Tells whether there is a batch to read.
    pub(super) fn has_unread(&self) -> bool {
        self.read < self.entries.len()
    }

    /// Tells whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds up what the batches tell beyond the losses they came with.
    pub(super) fn tells(&self) -> Losses {
        let mut losses = Losses::default();
        for entry in &self.entries {
            losses.merge(entry.tells.clone());
        }
        losses
    }

    /// Returns the sequence of the last batch that tells anything so.
    pub(super) fn last_telling(&self) -> Option<u64> {
        let telling = |entry: &&TailEntry| !entry.tells.is_empty();
        Some(self.entries.iter().rfind(telling)?.header.sequence)
    }

    /// Returns how many batches are kept.
    pub(super) fn batches(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Returns how many signals are kept.
    pub(super) fn signals(&self) -> u64 {
        self.entries
            .iter()
            .map(|entry| u64::from(entry.header.signals))
            .sum()
    }

    /// Returns the bytes kept.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes as u64
    }
}
