//! Sums of what was not kept, by stage, reason, kind and cgroup; must not decide what to drop.

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

/// Distinct losses kept apart: about two dozen reasons, some of them by kind, and those of rate limits by the cgroups
/// that are named. The bound keeps a source that invents words from growing the map and the messages.
const MAX_APART: usize = 224;
/// Distinct pairs of stage and reason that [`Losses::by_reason`] keeps apart.
const MAX_REASONS: usize = 48;
/// Longest reason or kind kept as it is, for the same purpose.
const MAX_WORD_BYTES: usize = 40;
/// Longest path of a cgroup kept as it is; the kernel side cuts longer ones.
const MAX_CGROUP_BYTES: usize = 512;
/// Where counts go that find no place of their own.
const OTHER: &str = "other";

/// What a loss is told apart by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    stage: i32,
    reason: String,
    /// Of the signals that were lost, empty when not known.
    kind: String,
    /// Path of the cgroup that caused it, empty when not known or many.
    cgroup: String,
}

impl Cause {
    fn of(loss: &v1::Loss) -> Self {
        let stage = loss.stage;
        if loss.reason.len() > MAX_WORD_BYTES || loss.kind.len() > MAX_WORD_BYTES {
            return Self::other(stage);
        }
        Self {
            stage,
            reason: loss.reason.clone(),
            kind: loss.kind.clone(),
            cgroup: Some(&loss.cgroup)
                .filter(|path| path.len() <= MAX_CGROUP_BYTES)
                .cloned()
                .unwrap_or_default(),
        }
    }

    fn other(stage: i32) -> Self {
        Self {
            stage,
            reason: OTHER.to_owned(),
            ..Self::default()
        }
    }
}

/// Losses summed by stage, reason, kind and cgroup; bounded in size whatever is added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    counts: BTreeMap<Cause, u64>,
}

impl Losses {
    /// Adds `count` to the sum of a stage and reason; nothing for a count of zero.
    pub fn add(&mut self, stage: Stage, reason: &str, count: u64) {
        self.add_loss(&v1::Loss {
            stage: stage.into(),
            reason: reason.to_owned(),
            count,
            ..v1::Loss::default()
        });
    }

    /// Adds a loss as the wire carries it.
    pub fn add_loss(&mut self, loss: &v1::Loss) {
        self.add_cause(Cause::of(loss), loss.count, MAX_APART);
    }

    /// Adds every sum of another set.
    pub fn merge(&mut self, other: Self) {
        for (cause, count) in other.counts {
            self.add_cause(cause, count, MAX_APART);
        }
    }

    /// Tells whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Returns the sum of one stage and reason, of all kinds and cgroups.
    pub fn count(&self, stage: Stage, reason: &str) -> u64 {
        let of_reason = |cause: &Cause| cause.stage == stage as i32 && cause.reason == reason;
        let counts = self.counts.iter().filter(|(cause, _)| of_reason(cause));
        counts.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Returns the sums by stage and reason alone, for where there is little room.
    #[must_use]
    pub fn by_reason(&self) -> Self {
        let mut sums = Self::default();
        for (cause, count) in &self.counts {
            let reason = Cause {
                stage: cause.stage,
                reason: cause.reason.clone(),
                ..Cause::default()
            };
            sums.add_cause(reason, *count, MAX_REASONS);
        }
        sums
    }

    /// Returns the sums by stage, reason and kind, for where cgroups are too many.
    #[must_use]
    pub fn by_kind(&self) -> Self {
        let mut sums = Self::default();
        for (cause, count) in &self.counts {
            let kind = Cause {
                cgroup: String::new(),
                ..cause.clone()
            };
            sums.add_cause(kind, *count, MAX_APART);
        }
        sums
    }

    /// Returns the sums as the wire carries them, ordered by stage, reason, kind and cgroup.
    pub fn to_wire(&self) -> Vec<v1::Loss> {
        self.counts
            .iter()
            .map(|(cause, count)| v1::Loss {
                stage: cause.stage,
                reason: cause.reason.clone(),
                count: *count,
                kind: cause.kind.clone(),
                cgroup: cause.cgroup.clone(),
            })
            .collect()
    }

    fn add_cause(&mut self, cause: Cause, count: u64, max_apart: usize) {
        if count == 0 {
            return;
        }
        let is_full = self.counts.len() >= max_apart && !self.counts.contains_key(&cause);
        let cause = if is_full {
            Cause::other(cause.stage)
        } else {
            cause
        };
        let sum = self.counts.entry(cause).or_default();
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
        assert!(losses.to_wire().len() <= MAX_APART + 1);
        assert!(losses.by_reason().to_wire().len() <= MAX_REASONS + 1);
        for sums in [&losses, &losses.by_reason(), &losses.by_kind()] {
            let total: u64 = sums.to_wire().iter().map(|loss| loss.count).sum();
            assert_eq!(total, 1001);
        }
    }

    #[test]
    fn tells_kinds_and_cgroups_apart_until_there_is_no_room_for_that() {
        let mut losses = Losses::default();
        for (kind, cgroup, count) in [
            ("process_exec", "/a", 1),
            ("process_exec", "/b", 2),
            ("process_exit", "/a", 4),
            ("process_exec", "/a", 8),
        ] {
            losses.add_loss(&v1::Loss {
                stage: Stage::RateLimit.into(),
                reason: "cgroup_rate".to_owned(),
                count,
                kind: kind.to_owned(),
                cgroup: cgroup.to_owned(),
            });
        }
        let counts = |losses: &Losses| -> Vec<u64> {
            losses.to_wire().iter().map(|loss| loss.count).collect()
        };
        assert_eq!(counts(&losses), [9, 2, 4]);
        assert_eq!(counts(&losses.by_kind()), [11, 4]);
        assert_eq!(counts(&losses.by_reason()), [15]);
        assert_eq!(losses.count(Stage::RateLimit, "cgroup_rate"), 15);
    }

    #[test]
    fn survives_the_wire_and_back() {
        let mut losses = Losses::default();
        losses.add(Stage::RingBuffer, "urgent_lane", 7);
        assert_eq!(losses.to_wire().iter().collect::<Losses>(), losses);
    }
}
