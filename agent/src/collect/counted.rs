//! Empties maps in which programs count while they go on counting (`abi::Counted`). Must not judge what they count.

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray},
};
use inquest_agent_abi::{Counted, Generation, names};

use super::ring_buffer::OpenError;

/// A counting map, and in which generation its programs are.
pub(crate) struct CountedMap<K, V> {
    map: HashMap<MapData, K, V>,
    generation: u32,
    which: Counted,
}

/// The generations of all counting maps, and what found no room in each.
pub(crate) struct Generations {
    present: Array<MapData, u32>,
    uncounted: PerCpuArray<MapData, u64>,
    seen_uncounted: [u64; Counted::COUNT as usize],
}

impl Generations {
    /// Takes the maps out of `ebpf`.
    pub(crate) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        Ok(Self {
            present: open(ebpf, names::GENERATIONS)?,
            uncounted: open(ebpf, names::UNCOUNTED)?,
            seen_uncounted: [0; Counted::COUNT as usize],
        })
    }

    /// Returns how often something found no room in a map since it was last asked.
    pub(crate) fn uncounted_since(&mut self, which: Counted) -> Result<u64, MapError> {
        let total = self.uncounted.get(&(which as u32), 0)?.iter().sum();
        let seen = self.seen_uncounted.get_mut(which as usize);
        Ok(seen.map_or(0, |seen| {
            u64::saturating_sub(total, std::mem::replace(seen, total))
        }))
    }
}

impl<K: Pod + Generation, V: Pod> CountedMap<K, V> {
    /// Takes the map `name` out of `ebpf`.
    pub(crate) fn open(
        ebpf: &mut Ebpf,
        which: Counted,
        name: &'static str,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            map: open(ebpf, name)?,
            generation: 0,
            which,
        })
    }

    /// Takes out what was counted in the generation before, and begins the next.
    ///
    /// A program that began in the one before has ended by now, as long as this is asked no more often than a few
    /// times a second.
    pub(crate) fn drain(&mut self, generations: &mut Generations) -> Result<Vec<(K, V)>, MapError> {
        // The keys first: taking one out would send the iteration back to its start.
        let keys: Vec<K> = self
            .map
            .keys()
            .filter_map(Result::ok)
            .filter(|key| key.generation() != self.generation)
            .collect();
        let mut counted = Vec::with_capacity(keys.len());
        for key in keys {
            counted.push((key, self.map.get(&key, 0)?));
            self.map.remove(&key)?;
        }
        self.generation ^= 1;
        generations
            .present
            .set(self.which as u32, self.generation, 0)?;
        Ok(counted)
    }
}

fn open<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, OpenError>
where
    M: TryFrom<aya::maps::Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(OpenError::Absent(name))?;
    M::try_from(map).map_err(|source| OpenError::Map { name, source })
}
