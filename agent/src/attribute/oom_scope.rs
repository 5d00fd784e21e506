//! Decides from the kernel's own numbers whether a memory cgroup or the node ran out of memory. Pure: must
//! not read anything.
//!
//! A charge climbs from the task's cgroup to the root and fails at the lowest level whose limit it would
//! exceed (`page_counter_try_charge`); the kernel then raises an OOM event at exactly that level and looks
//! for a victim below it. So the limiting level is the lowest one of the victim's chain that is at its limit,
//! that also lies above the task whose charge failed, and that has raised an OOM event. The last condition
//! matters: a cgroup full of page cache sits at its limit all the time, during an OOM of the node, too.
//!
//! When one OOM takes several victims, the first ones give their memory back while the last are chosen, so
//! a level that has just been limiting still is, whatever it holds by then.

use std::{cmp::min, collections::VecDeque};

/// Memory may have been given back between the failed charge and the kill: as much as CPUs keep in
/// stock, and never so much that a small limit is passed by.
const MAX_SLACK_BYTES: u64 = 2 << 20;
const SLACK_DIVISOR: u64 = 8;

/// How long after a kill a level is taken to be still the limiting one: a victim needs some ten milliseconds
/// to give its memory back, more on a busy node.
const EPISODE_NS: u64 = 1_000_000_000;
/// Levels remembered as just having been limiting; more than a node has OOMs at once.
const MAX_EPISODES: usize = 64;

/// What ran out of memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OomScope {
    /// The memory cgroup at this index of the victim's chain.
    Memcg(usize),
    /// The node, or a cpuset or memory policy.
    Global,
    /// The kernel did not tell enough.
    Unknown,
}

/// A counter and what it may not exceed, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counter {
    /// Bytes charged.
    pub usage: u64,
    /// Bytes allowed, `None` for no limit.
    pub max: Option<u64>,
}

/// One level of the victim's chain.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Level {
    /// The cgroup's id.
    pub id: u64,
    /// Memory.
    pub memory: Counter,
    /// Memory and swap together, where the kernel counts them so.
    pub memsw: Counter,
    /// OOM events raised at this very level, `None` where the kernel does not tell.
    pub oom_events: Option<u64>,
    /// It was limiting an instant ago.
    pub was_limiting: bool,
}

/// The levels that have just been limiting.
#[derive(Debug, Default)]
pub struct OomEpisodes {
    latest: VecDeque<(u64, u64)>,
}

impl OomEpisodes {
    /// Remembers that cgroup `id` was limiting at `ktime_ns`.
    pub(crate) fn remember(&mut self, id: u64, ktime_ns: u64) {
        self.latest.retain(|(known, _)| *known != id);
        if self.latest.len() == MAX_EPISODES {
            self.latest.pop_front();
        }
        self.latest.push_back((id, ktime_ns));
    }

    /// Returns whether cgroup `id` was limiting an instant before `ktime_ns`.
    pub(crate) fn was_limiting(&self, id: u64, ktime_ns: u64) -> bool {
        let since = |at: u64| ktime_ns.saturating_sub(at);
        self.latest
            .iter()
            .any(|(known, at)| *known == id && since(*at) <= EPISODE_NS)
    }
}

impl Level {
    fn is_limiting(&self) -> bool {
        let at_limit = self.memory.is_at_limit() || self.memsw.is_at_limit();
        (at_limit || self.was_limiting) && self.oom_events != Some(0)
    }
}

impl Counter {
    /// Returns whether it is so near its limit that a charge would have failed.
    pub(crate) fn is_at_limit(self) -> bool {
        self.max.is_some_and(|max| {
            let slack = min(MAX_SLACK_BYTES, max / SLACK_DIVISOR);
            self.usage >= max.saturating_sub(slack)
        })
    }
}

/// The levels of a victim's chain, its own cgroup first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain<'a> {
    /// The lowest levels.
    pub levels: &'a [Level],
    /// The root is among them.
    pub is_complete: bool,
}

/// Decides what ran out of memory. `chain` is the victim's; `trigger_chain` that of the task whose allocation
/// could not be served, `None` when it is not known to its root.
///
/// No limiting level means the node only when all levels are known: above those may be one.
pub(crate) fn oom_scope(chain: Chain<'_>, trigger_chain: Option<&[u64]>) -> OomScope {
    let limiting = chain.levels.iter().position(|level| {
        level.is_limiting() && trigger_chain.is_none_or(|ids| ids.contains(&level.id))
    });
    match limiting {
        Some(index) => OomScope::Memcg(index),
        None if chain.is_complete && !chain.levels.is_empty() => OomScope::Global,
        None => OomScope::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What is the case, the victim's chain, the trigger's, and what follows.
    type Case = (&'static str, Vec<Level>, Option<&'static [u64]>, OomScope);

    fn limited(id: u64, usage: u64, max: u64, oom_events: Option<u64>) -> Level {
        Level {
            id,
            memory: Counter {
                usage,
                max: Some(max),
            },
            memsw: Counter::default(),
            oom_events,
            was_limiting: false,
        }
    }

    fn unlimited(id: u64, usage: u64) -> Level {
        Level {
            id,
            memory: Counter { usage, max: None },
            memsw: Counter::default(),
            oom_events: Some(0),
            was_limiting: false,
        }
    }

    fn complete(levels: &[Level]) -> Chain<'_> {
        Chain {
            levels,
            is_complete: true,
        }
    }

    #[test]
    fn decides_by_limit_event_and_trigger() {
        let root = unlimited(1, 900 * MIB);
        let cases: [Case; 11] = [
            (
                "the victim's own cgroup is at its limit",
                vec![limited(3, 32 * MIB, 32 * MIB, Some(1)), root],
                Some(&[3, 1]),
                OomScope::Memcg(0),
            ),
            (
                "an ancestor is at its limit",
                vec![
                    unlimited(3, 60 * MIB),
                    limited(2, 64 * MIB, 64 * MIB, Some(1)),
                    root,
                ],
                Some(&[3, 2, 1]),
                OomScope::Memcg(1),
            ),
            (
                "of two at their limits, the lowest fails the charge",
                vec![
                    limited(3, 64 * MIB, 64 * MIB, Some(1)),
                    limited(2, 64 * MIB, 64 * MIB, Some(2)),
                    root,
                ],
                Some(&[3, 2, 1]),
                OomScope::Memcg(0),
            ),
            (
                "a sibling's charge failed at the common ancestor, not at the victim's own full cgroup",
                vec![
                    limited(3, 64 * MIB, 64 * MIB, Some(1)),
                    limited(2, 128 * MIB, 128 * MIB, Some(1)),
                    root,
                ],
                Some(&[4, 2, 1]),
                OomScope::Memcg(1),
            ),
            (
                "full of page cache during an OOM of the node",
                vec![limited(3, 64 * MIB, 64 * MIB, Some(0)), root],
                Some(&[9, 1]),
                OomScope::Global,
            ),
            (
                "an event of long ago does not count when another's charge failed",
                vec![limited(3, 64 * MIB, 64 * MIB, Some(7)), root],
                Some(&[9, 1]),
                OomScope::Global,
            ),
            (
                "well below its limit",
                vec![limited(3, 50 * MIB, 64 * MIB, Some(7)), root],
                Some(&[3, 1]),
                OomScope::Global,
            ),
            (
                "a little was given back meanwhile",
                vec![limited(3, 63 * MIB, 64 * MIB, Some(1)), root],
                Some(&[3, 1]),
                OomScope::Memcg(0),
            ),
            (
                "the kernel tells no events and the trigger is unknown",
                vec![limited(3, 64 * MIB, 64 * MIB, None), root],
                None,
                OomScope::Memcg(0),
            ),
            (
                "no limits at all",
                vec![unlimited(3, 10 * MIB), root],
                None,
                OomScope::Global,
            ),
            ("nothing is known", vec![], None, OomScope::Unknown),
        ];
        for (case, chain, trigger_chain, expected) in cases {
            assert_eq!(
                oom_scope(complete(&chain), trigger_chain),
                expected,
                "{case}"
            );
        }
    }

    #[test]
    fn blames_the_node_only_when_every_level_is_known() {
        let below = unlimited(3, 60 * MIB);
        let full = limited(2, 64 * MIB, 64 * MIB, Some(1));
        for (levels, expected) in [
            (&[below][..], OomScope::Unknown),
            (&[below, full], OomScope::Memcg(1)),
            (&[], OomScope::Unknown),
        ] {
            let cut = Chain {
                levels,
                is_complete: false,
            };
            assert_eq!(oom_scope(cut, Some(&[3, 2, 1])), expected, "{levels:?}");
        }
    }

    #[test]
    fn stays_with_the_level_whose_earlier_victims_give_their_memory_back() {
        let mut episodes = OomEpisodes::default();
        episodes.remember(3, 5 * EPISODE_NS);
        let at = |ktime_ns| {
            let mut level = limited(3, MIB, 64 * MIB, Some(9));
            level.was_limiting = episodes.was_limiting(3, ktime_ns);
            oom_scope(complete(&[level]), Some(&[3]))
        };
        assert_eq!(at(5 * EPISODE_NS + 1), OomScope::Memcg(0));
        assert_eq!(at(7 * EPISODE_NS), OomScope::Global);
        for id in 100..1000 {
            episodes.remember(id, 5 * EPISODE_NS);
        }
        assert_eq!(episodes.latest.len(), MAX_EPISODES);
    }

    #[test]
    fn counts_memory_and_swap_together_where_the_kernel_limits_them_so() {
        let mut level = limited(3, 40 * MIB, 64 * MIB, Some(1));
        level.memsw = Counter {
            usage: 64 * MIB,
            max: Some(64 * MIB),
        };
        assert_eq!(oom_scope(complete(&[level]), None), OomScope::Memcg(0));
    }

    #[test]
    fn leaves_a_small_limit_little_slack() {
        let at = |usage| {
            Counter {
                usage,
                max: Some(MIB),
            }
            .is_at_limit()
        };
        assert!(at(MIB - MIB / 8));
        assert!(!at(MIB - MIB / 8 - 1));
        assert!(
            Counter {
                usage: 0,
                max: Some(0)
            }
            .is_at_limit()
        );
    }
}
