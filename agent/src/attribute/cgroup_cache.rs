//! Remembers the paths of cgroups by id, those of dead ones included. Bounded; must not look anything up.

use std::{collections::HashMap, sync::Arc};

/// Cgroups remembered. With paths of 250 bytes this is some 7 MB; at 30 new cgroups a second it still reaches
/// back ten minutes, within which everything about a dead container is asked.
pub(crate) const MAX_CGROUPS: usize = 20_000;

/// When full, this part of it is dropped at once, so that making room costs little for each insertion.
const DROPPED_PART: usize = 8;

/// Paths by id, within one hierarchy. The least recently used are forgotten first.
#[derive(Debug)]
pub(crate) struct CgroupCache {
    entries: HashMap<u64, Entry>,
    capacity: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    path: Arc<str>,
    used: u64,
}

impl CgroupCache {
    /// Returns an empty cache of at most `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            uses: 0,
        }
    }

    /// Returns the path of cgroup `id`.
    pub(crate) fn get(&mut self, id: u64) -> Option<Arc<str>> {
        self.uses += 1;
        let entry = self.entries.get_mut(&id)?;
        entry.used = self.uses;
        Some(Arc::clone(&entry.path))
    }

    /// Returns whether the path of cgroup `id` is known, without making it recently used.
    pub(crate) fn contains(&self, id: u64) -> bool {
        self.entries.contains_key(&id)
    }

    /// Remembers that cgroup `id` is at `path`.
    pub(crate) fn insert(&mut self, id: u64, path: &str) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&id) {
            self.make_room();
        }
        self.uses += 1;
        self.entries.insert(
            id,
            Entry {
                path: Arc::from(path),
                used: self.uses,
            },
        );
    }

    fn make_room(&mut self) {
        let mut used: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        let dropped = (used.len() / DROPPED_PART).min(used.len().saturating_sub(1));
        if used.is_empty() {
            return;
        }
        let (_, newest_dropped, _) = used.select_nth_unstable(dropped);
        let newest_dropped = *newest_dropped;
        self.entries.retain(|_, entry| entry.used > newest_dropped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_within_its_bound_and_forgets_the_least_recently_used() {
        let mut cache = CgroupCache::new(16);
        for id in 0..16 {
            cache.insert(id, &format!("/{id}"));
        }
        assert_eq!(cache.get(0).as_deref(), Some("/0"));
        for id in 16..1000 {
            cache.insert(id, "/new");
            assert!(cache.entries.len() <= 16);
            assert!(cache.get(0).is_some(), "still used when {id} came");
        }
        assert!(cache.get(1).is_none());
    }

    #[test]
    fn keeps_room_for_one_when_tiny() {
        let mut cache = CgroupCache::new(1);
        cache.insert(1, "/a");
        cache.insert(2, "/b");
        assert_eq!(cache.get(2).as_deref(), Some("/b"));
        cache.insert(2, "/c");
        assert_eq!(cache.get(2).as_deref(), Some("/c"));
    }
}
