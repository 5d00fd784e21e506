//! What the maps of this process take of the kernel's memory, as the kernel tells it, else computed. Must not look into
//! maps.

use std::{collections::BTreeMap, fs, io};

/// Kinds of maps, by their numbers in the kernel's interface.
mod kind {
    pub(super) const HASH: u64 = 1;
    pub(super) const ARRAY: u64 = 2;
    pub(super) const PER_CPU_HASH: u64 = 5;
    pub(super) const PER_CPU_ARRAY: u64 = 6;
    pub(super) const LRU_HASH: u64 = 9;
    pub(super) const RING_BUFFER: u64 = 27;
}

/// What the kernel keeps with each entry of a hash map, and for each of its buckets.
const HASH_ENTRY_BYTES: u64 = 48;
const HASH_BUCKET_BYTES: u64 = 16;
/// Of a pointer to the values of all CPUs.
const POINTER_BYTES: u64 = 8;

/// A map as `/proc/self/fdinfo` describes it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Map {
    kind: u64,
    key_bytes: u64,
    value_bytes: u64,
    entries: u64,
    /// Exact before Linux 5.11 and since 6.4; in between, without what comes with the entries, and nothing for a ring.
    told_bytes: u64,
}

/// Returns what all maps take that this process has open, each counted once.
pub(super) fn bytes_of_own() -> io::Result<u64> {
    let cpus = aya::util::nr_cpus().map_or(1, |cpus| cpus as u64);
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        // A descriptor that was closed meanwhile is none of a map: those stay.
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue;
        };
        if let Some((id, map)) = Map::parse(&text) {
            maps.insert(id, map);
        }
    }
    Ok(maps.values().map(|map| map.bytes(cpus)).sum())
}

impl Map {
    /// Parses the description of a descriptor, with the map's id; `None` when it is of no map.
    fn parse(text: &str) -> Option<(u64, Self)> {
        let value = |key: &str| -> Option<u64> {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            value.trim().parse().ok()
        };
        let map = Self {
            kind: value("map_type")?,
            key_bytes: value("key_size")?,
            value_bytes: value("value_size")?,
            entries: value("max_entries")?,
            told_bytes: value("memlock").unwrap_or(0),
        };
        Some((value("map_id")?, map))
    }

    fn bytes(self, cpus: u64) -> u64 {
        self.told_bytes.max(self.computed_bytes(cpus))
    }

    /// What an allocation of all entries at once takes, as it is for each map of the agent.
    fn computed_bytes(self, cpus: u64) -> u64 {
        let value_bytes = self.value_bytes.next_multiple_of(8);
        let (entry_bytes, per_cpu_bytes) = match self.kind {
            kind::HASH | kind::LRU_HASH => (self.hash_entry_bytes(value_bytes), 0),
            kind::PER_CPU_HASH => (self.hash_entry_bytes(POINTER_BYTES), value_bytes),
            kind::ARRAY => (value_bytes, 0),
            kind::PER_CPU_ARRAY => (POINTER_BYTES, value_bytes),
            kind::RING_BUFFER => (1, 0),
            _ => return 0,
        };
        let entry_bytes = per_cpu_bytes
            .saturating_mul(cpus)
            .saturating_add(entry_bytes);
        self.entries.saturating_mul(entry_bytes)
    }

    fn hash_entry_bytes(self, value_bytes: u64) -> u64 {
        let buckets = self.entries.checked_next_power_of_two().unwrap_or(0);
        let bucket_bytes = (buckets * HASH_BUCKET_BYTES).div_ceil(self.entries.max(1));
        HASH_ENTRY_BYTES + bucket_bytes + self.key_bytes.next_multiple_of(8) + value_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_what_linux_6_18_tells_of_such_maps() {
        const CPUS: u64 = 2;
        for (kind, key_bytes, value_bytes, entries, told) in [
            (kind::HASH, 72, 40, 8192, 1_443_024),
            (kind::HASH, 16, 48, 1024, 132_208),
            (kind::LRU_HASH, 8, 11_272, 768, 8_717_184),
            (kind::LRU_HASH, 8, 16, 4096, 361_344),
            (kind::PER_CPU_HASH, 16, 8, 8192, 852_864),
            (kind::ARRAY, 4, 13_704, 1, 14_016),
            (kind::PER_CPU_ARRAY, 4, 1536, 1, 3392),
            (kind::RING_BUFFER, 0, 0, 1 << 20, 1_065_288),
        ] {
            let map = Map {
                kind,
                key_bytes,
                value_bytes,
                entries,
                told_bytes: 0,
            };
            let computed = map.bytes(CPUS);
            let off = computed.abs_diff(told);
            // The kernel adds what describes the map itself.
            assert!(off <= told / 50 + 1024, "{map:?}: {computed}, not {told}");
            let told_more = Map {
                told_bytes: 2 * told,
                ..map
            };
            assert_eq!(told_more.bytes(CPUS), 2 * told);
        }
    }

    #[test]
    fn takes_the_descriptions_of_maps_for_maps_and_no_others() {
        let text = "pos:\t0\nflags:\t02000002\nmnt_id:\t16\nino:\t1057\nmap_type:\t9\nkey_size:\t8\nvalue_size:\t40\n\
                    max_entries:\t4096\nmap_flags:\t0x0\nmap_extra:\t0x0\nmemlock:\t459648\nmap_id:\t29104\nfrozen:\t0\n";
        let map = Map {
            kind: kind::LRU_HASH,
            key_bytes: 8,
            value_bytes: 40,
            entries: 4096,
            told_bytes: 459_648,
        };
        assert_eq!(Map::parse(text), Some((29_104, map)));
        for other in [
            "",
            "pos:\t0\nflags:\t02\n",
            "prog_type:\t26\nmemlock:\t4096\nprog_id:\t7\n",
            "map_type:\tnone\nmap_id:\t3\n",
        ] {
            assert_eq!(Map::parse(other), None, "{other}");
        }
    }

    #[test]
    fn no_description_is_too_large_to_be_computed() {
        for kind in 0..40 {
            let map = Map {
                kind,
                key_bytes: u32::MAX.into(),
                value_bytes: u32::MAX.into(),
                entries: u32::MAX.into(),
                told_bytes: 0,
            };
            map.bytes(8192);
        }
    }
}
