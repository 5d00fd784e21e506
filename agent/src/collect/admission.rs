//! Which signals of the bulk lane are handed on while memory is near its bound; those that are not are counted by kind
//! and cgroup. Must not see those of the urgent lane: they are always handed on.

mod left_out;

use std::collections::BTreeSet;

use inquest_proto::v1::{self, agent_cost::MemoryLevel, loss::Stage};

use crate::loss::Losses;
use left_out::{kind_word, times};

/// Signals that may wait for intake while memory is near its bound: a reading's worth, at some 1 KiB each.
const ROOM_WHEN_NEAR: usize = 128;
/// Cgroups that are named in the life of an agent, always the same ones, so that sums of batches and totals agree. Few,
/// as there are many kinds: their products share the room of [`Losses`] with what the kernel side shed.
const MAX_NAMED: usize = 16;

/// The reason of a loss for want of memory.
pub(super) const MEMORY_BOUND: &str = "memory_bound";

/// Lets signals in, as far as memory allows.
#[derive(Debug)]
pub(super) struct Admission {
    /// Signals that may wait for intake.
    room: usize,
    named: BTreeSet<String>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            room: usize::MAX,
            named: BTreeSet::new(),
        }
    }
}

impl Admission {
    /// Lets in as much as `level` allows from now on.
    pub(super) fn set_level(&mut self, level: MemoryLevel) {
        self.room = match level {
            MemoryLevel::Unspecified | MemoryLevel::Ample => usize::MAX,
            MemoryLevel::Near => ROOM_WHEN_NEAR,
            MemoryLevel::Short => 0,
        };
    }

    /// Returns whether one more signal may join `waiting` others.
    pub(super) fn has_room(&self, waiting: usize) -> bool {
        waiting < self.room
    }

    /// Adds what a signal that is not handed on would have told to `losses`.
    pub(super) fn count(
        &mut self,
        signal: &v1::Signal,
        stage: Stage,
        reason: &str,
        losses: &mut Losses,
    ) {
        let cgroup = signal
            .subject
            .as_ref()
            .and_then(|subject| subject.cgroup.as_ref());
        losses.add_loss(&v1::Loss {
            stage: stage.into(),
            reason: reason.to_owned(),
            count: signal.body.as_ref().map_or(1, times),
            kind: signal.body.as_ref().map_or("", kind_word).to_owned(),
            cgroup: cgroup.map_or_else(String::new, |cgroup| self.name(&cgroup.path)),
        });
    }

    /// Returns `path` if it is or can be among those that are named.
    fn name(&mut self, path: &str) -> String {
        if self.named.len() < MAX_NAMED {
            self.named.insert(path.to_owned());
        }
        self.named.get(path).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use inquest_proto::v1::signal::Body;

    use super::*;

    fn signal(cgroup: &str) -> v1::Signal {
        let cgroup = v1::Cgroup {
            path: cgroup.to_owned(),
            ..v1::Cgroup::default()
        };
        v1::Signal {
            subject: Some(v1::Subject {
                cgroup: Some(cgroup),
                ..v1::Subject::default()
            }),
            body: Some(Body::CgroupRemoved(v1::CgroupRemoved::default())),
            ..v1::Signal::default()
        }
    }

    #[test]
    fn the_shorter_memory_is_the_less_is_let_in() {
        let mut admission = Admission::default();
        for (level, waiting, expected) in [
            (MemoryLevel::Ample, 10_000, true),
            (MemoryLevel::Near, ROOM_WHEN_NEAR - 1, true),
            (MemoryLevel::Near, ROOM_WHEN_NEAR, false),
            (MemoryLevel::Short, 0, false),
            (MemoryLevel::Ample, 10_000, true),
        ] {
            admission.set_level(level);
            assert_eq!(admission.has_room(waiting), expected, "{level:?} {waiting}");
        }
    }

    #[test]
    fn counts_by_kind_and_cgroup_and_names_the_first_cgroups_only() {
        let (mut admission, mut losses) = (Admission::default(), Losses::default());
        for round in 0..3 {
            for number in 0..2 * MAX_NAMED {
                let signal = signal(&format!("/c{number:02}"));
                admission.count(&signal, Stage::RateLimit, MEMORY_BOUND, &mut losses);
            }
            let told = losses.to_wire();
            assert_eq!(told.len(), MAX_NAMED + 1, "round {round}");
        }
        let told = losses.to_wire();
        assert!(told.iter().all(|loss| loss.kind == "cgroup_removed"));
        assert_eq!(
            (told[0].cgroup.as_str(), told[0].count),
            ("", 3 * MAX_NAMED as u64)
        );
        assert_eq!((told[1].cgroup.as_str(), told[1].count), ("/c00", 3));
        assert_eq!(
            losses.count(Stage::RateLimit, MEMORY_BOUND),
            6 * MAX_NAMED as u64
        );
    }
}
