//! Empties maps in which programs count while they go on counting (`abi::Counted`). Must not judge what they count.

use std::sync::{Arc, Mutex, PoisonError};

use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, MapData, MapError, PerCpuArray, PerCpuHashMap},
};
use inquest_agent_abi::{Counted, Generation, names};

use tracing::debug;

use super::ring_buffer::{OpenError, open_map};

/// A counting map, and in which generation its programs are.
pub(crate) struct Counting<M> {
    map: M,
    generation: u32,
    which: Counted,
}

/// One with a value for each key, which all CPUs count in.
pub(crate) type CountedMap<K, V> = Counting<HashMap<MapData, K, V>>;

/// One with a number for each key on each CPU.
pub(crate) type CountedPerCpuMap<K> = Counting<PerCpuHashMap<MapData, K, u64>>;

/// The kinds of maps that can be emptied.
pub(crate) trait Counts: TryFrom<aya::maps::Map, Error = MapError> {
    /// What is counted by.
    type Key: Pod + Generation;
    /// What is counted.
    type Value;

    /// Returns all keys, of both generations.
    fn all_keys(&self) -> Result<Vec<Self::Key>, MapError>;

    /// Returns the value of `key`, of all CPUs together, and removes it.
    fn take(&mut self, key: &Self::Key) -> Result<Self::Value, MapError>;
}

/// A key and what was counted by it.
pub(crate) type Entry<M> = (<M as Counts>::Key, <M as Counts>::Value);

impl<K: Pod + Generation, V: Pod> Counts for HashMap<MapData, K, V> {
    type Key = K;
    type Value = V;

    fn all_keys(&self) -> Result<Vec<K>, MapError> {
        self.keys().collect()
    }

    fn take(&mut self, key: &K) -> Result<V, MapError> {
        let value = self.get(key, 0)?;
        self.remove(key)?;
        Ok(value)
    }
}

impl<K: Pod + Generation> Counts for PerCpuHashMap<MapData, K, u64> {
    type Key = K;
    type Value = u64;

    fn all_keys(&self) -> Result<Vec<K>, MapError> {
        self.keys().collect()
    }

    fn take(&mut self, key: &K) -> Result<u64, MapError> {
        let value = self.get(key, 0)?.iter().sum();
        self.remove(key)?;
        Ok(value)
    }
}

/// The generations of all counting maps, and what found no room in each. Clones share them.
#[derive(Clone)]
pub(crate) struct Generations(Arc<Mutex<GenerationMaps>>);

struct GenerationMaps {
    present: Array<MapData, u32>,
    uncounted: PerCpuArray<MapData, u64>,
    seen_uncounted: [u64; Counted::COUNT as usize],
}

impl Generations {
    /// Takes the maps out of `ebpf`.
    pub(crate) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        Ok(Self(Arc::new(Mutex::new(GenerationMaps {
            present: open_map(ebpf, names::GENERATIONS)?,
            uncounted: open_map(ebpf, names::UNCOUNTED)?,
            seen_uncounted: [0; Counted::COUNT as usize],
        }))))
    }

    /// Returns how often something found no room in a map since it was last asked.
    pub(crate) fn uncounted_since(&mut self, which: Counted) -> Result<u64, MapError> {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = maps.uncounted.get(&(which as u32), 0)?.iter().sum();
        let seen = maps.seen_uncounted.get_mut(which as usize);
        Ok(seen.map_or(0, |seen| {
            u64::saturating_sub(total, std::mem::replace(seen, total))
        }))
    }

    fn begin(&mut self, which: Counted, generation: u32) -> Result<(), MapError> {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        maps.present.set(which as u32, generation, 0)
    }
}

impl<M: Counts> Counting<M> {
    /// Takes the map `name` out of `ebpf`.
    pub(crate) fn open(
        ebpf: &mut Ebpf,
        which: Counted,
        name: &'static str,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            map: open_map(ebpf, name)?,
            generation: 0,
            which,
        })
    }

    /// Takes out what was counted in the generation before, and begins the next.
    ///
    /// A program that began in the one before has ended by now, as long as this is asked no more often than a few
    /// times a second.
    pub(crate) fn drain(
        &mut self,
        generations: &mut Generations,
    ) -> Result<Vec<Entry<M>>, MapError> {
        // The keys first: taking one out would send the iteration back to its start.
        let mut keys = self.map.all_keys()?;
        keys.retain(|key| key.generation() != self.generation);
        let mut counted = Vec::with_capacity(keys.len());
        for key in keys {
            match self.map.take(&key) {
                Ok(value) => counted.push((key, value)),
                // The others must not be lost for it; it is taken out when its generation is over the next time.
                Err(error) => debug!(%error, "an entry stays in its map"),
            }
        }
        let next = self.generation ^ 1;
        match generations.begin(self.which, next) {
            Ok(()) => self.generation = next,
            Err(error) => debug!(%error, "no generation begun, the present one goes on"),
        }
        Ok(counted)
    }
}
