//! Reads what the kernel side counted of records that it could not keep, by lane and kind. Must not decide what is kept.

use aya::{
    Ebpf,
    maps::{MapData, MapError, PerCpuArray},
};
use inquest_agent_abi::{Lane, LossCounts, RecordKind, loss_index, names, shed_index};
use inquest_proto::v1::{self, loss::Stage};

use super::ring_buffer::{OpenError, open_map};
use crate::{decode::kind_word, loss::Losses};

/// The counters of all CPUs, and how far they have been told.
pub(crate) struct LossCounters {
    map: PerCpuArray<MapData, LossCounts>,
    told: LossCounts,
}

/// One counter of the kernel side.
struct Counter {
    index: usize,
    stage: Stage,
    reason: &'static str,
    kind: RecordKind,
}

impl LossCounters {
    /// Takes the map out of `ebpf`.
    pub(crate) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        Ok(Self {
            map: open_map(ebpf, names::LOST)?,
            told: LossCounts([0; _]),
        })
    }

    /// Adds what was lost since the last time to `losses`; returns of which kinds that was. What cannot be read now is told
    /// the next time.
    pub(crate) fn tell(&mut self, losses: &mut Losses) -> Result<Vec<RecordKind>, MapError> {
        let per_cpu = self.map.get(&0, 0)?;
        let mut kinds = Vec::new();
        for counter in counters() {
            let of_cpu = |counts: &LossCounts| counts.0.get(counter.index).copied();
            let total = per_cpu.iter().filter_map(of_cpu).sum::<u64>();
            let Some(told) = self.told.0.get_mut(counter.index) else {
                continue;
            };
            let count = total.saturating_sub(std::mem::replace(told, total));
            if count > 0 {
                kinds.push(counter.kind);
            }
            losses.add_loss(&v1::Loss {
                stage: counter.stage.into(),
                reason: counter.reason.to_owned(),
                count,
                kind: kind_word(counter.kind).to_owned(),
                ..v1::Loss::default()
            });
        }
        Ok(kinds)
    }
}

fn counters() -> impl Iterator<Item = Counter> {
    let kinds = (0..RecordKind::COUNT).map(RecordKind);
    let pairs = kinds.flat_map(|kind| Lane::ALL.map(|lane| (lane, kind)));
    pairs.flat_map(|(lane, kind)| {
        let (full, beyond_rate) = match lane {
            Lane::Urgent => ("urgent_lane", "cgroup_urgent_rate"),
            Lane::Bulk => ("bulk_lane", "cgroup_rate"),
        };
        [
            Counter {
                index: loss_index(lane, kind),
                stage: Stage::RingBuffer,
                reason: full,
                kind,
            },
            Counter {
                index: shed_index(lane, kind),
                stage: Stage::RateLimit,
                reason: beyond_rate,
                kind,
            },
        ]
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_counter_of_the_kernel_side_is_told_once() {
        let indexes: Vec<_> = counters().map(|counter| counter.index).collect();
        let distinct: BTreeSet<_> = indexes.iter().copied().collect();
        let all = LossCounts([0; _]).0.len();
        assert_eq!((indexes.len(), distinct.len()), (all, all));
        assert_eq!(distinct.last(), Some(&(all - 1)));
    }
}
