//! Sums of what was not kept, by stage and reason; must not decide what to drop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use inquest_proto::v1;
use inquest_proto::v1::loss::Stage;

/// Reasons of `STAGE_SPOOL`.
pub mod reason {
    /// The spool was at its size bound; its oldest batches were given up.
    pub const SPOOL_FULL: &str = "spool_full";
    /// The disk took no more writes and the memory kept for that case was used up.
    pub const DISK_FULL: &str = "disk_full";
    /// A part of a spool file failed its checksum.
    pub const CORRUPT: &str = "corrupt";
    /// One batch was larger than a spool record may be.
    pub const OVERSIZED: &str = "oversized";
}

/// Distinct (stage, reason) pairs kept apart. The reasons are a closed list of about a dozen words;
/// the bound keeps a source that invents reasons from growing the map and the cursor file.
const MAX_REASONS: usize = 48;
/// Longest reason kept as it is, for the same purpose.
const MAX_REASON_BYTES: usize = 40;
/// Where counts go that find no place of their own.
const OTHER: &str = "other";

/// Losses summed by stage and reason; bounded in size whatever is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    counts: BTreeMap<(i32, String), u64>,
}

impl Losses {
    /// Adds `count` to the sum of a stage and reason; nothing for a count of zero.
    pub fn add(&mut self, stage: Stage, reason: &str, count: u64) {
        self.add_raw(stage as i32, reason, count);
    }

    /// Adds a loss as the wire carries it.
    pub fn add_loss(&mut self, loss: &v1::Loss) {
        self.add_raw(loss.stage, &loss.reason, loss.count);
    }

    /// Adds every sum of another set.
    pub fn merge(&mut self, other: Self) {
        for ((stage, reason), count) in other.counts {
            self.add_raw(stage, &reason, count);
        }
    }

    /// Tells whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns the sum of one stage and reason.
    pub fn count(&self, stage: Stage, reason: &str) -> u64 {
        self.counts
            .get(&(stage as i32, reason.to_owned()))
            .copied()
            .unwrap_or_default()
    }

    /// Returns the sums as the wire carries them, ordered by stage and reason.
    pub fn to_wire(&self) -> Vec<v1::Loss> {
        self.counts
            .iter()
            .map(|((stage, reason), count)| v1::Loss {
                stage: *stage,
                reason: reason.clone(),
                count: *count,
                ..v1::Loss::default()
            })
            .collect()
    }

    fn named(&self) -> usize {
        self.counts
            .keys()
            .filter(|(_, reason)| reason != OTHER)
            .count()
    }

    fn add_raw(&mut self, stage: i32, reason: &str, count: u64) {
        if count == 0 {
            return;
        }
        let reason = if reason.len() > MAX_REASON_BYTES {
            OTHER
        } else {
            reason
        };
        let mut key = (stage, reason.to_owned());
        if !self.counts.contains_key(&key) && self.named() >= MAX_REASONS {
            OTHER.clone_into(&mut key.1);
        }
        let sum = self.counts.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }
}

impl<'a> FromIterator<&'a v1::Loss> for Losses {
    fn from_iter<I: IntoIterator<Item = &'a v1::Loss>>(losses: I) -> Self {
        let mut sums = Self::default();
        for loss in losses {
            sums.add_loss(loss);
        }
        sums
    }
}

/// The losses of this process since it started, shared by all that count and all that report.
#[derive(Clone, Debug, Default)]
pub struct LossTotal(Arc<Mutex<Losses>>);

impl LossTotal {
    /// Adds to the total.
    pub fn add(&self, stage: Stage, reason: &str, count: u64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(stage, reason, count);
    }

    /// Adds a loss as the wire carries it.
    pub fn add_loss(&self, loss: &v1::Loss) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add_loss(loss);
    }

    /// Returns a copy of the sums.
    pub fn snapshot(&self) -> Losses {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_stage_and_reason_and_ignores_nothing_lost() {
        let mut losses = Losses::default();
        losses.add(Stage::Queue, "full", 0);
        assert!(losses.is_empty());
        losses.add(Stage::Queue, "full", 2);
        losses.add(Stage::Queue, "full", 3);
        losses.add(Stage::Spool, "full", 1);
        assert_eq!(losses.count(Stage::Queue, "full"), 5);
        assert_eq!(losses.to_wire().len(), 2);
    }

    #[test]
    fn stays_bounded_and_keeps_the_sum_when_reasons_are_invented() {
        let mut losses = Losses::default();
        for n in 0..1000 {
            losses.add(Stage::Decode, &format!("reason_{n}"), 1);
        }
        losses.add(Stage::Decode, &"x".repeat(5000), 1);
        assert!(losses.to_wire().len() <= MAX_REASONS + 1);
        assert_eq!(
            losses.to_wire().iter().map(|loss| loss.count).sum::<u64>(),
            1001
        );
    }

    #[test]
    fn survives_the_wire_and_back() {
        let mut losses = Losses::default();
        losses.add(Stage::RingBuffer, "urgent_lane", 7);
        assert_eq!(losses.to_wire().iter().collect::<Losses>(), losses);
    }
}
