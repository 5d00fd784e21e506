//! A map of bounded size that forgets what was used least recently. Must not look anything up.

use std::{collections::HashMap, hash::Hash};

/// When full, this part of it is dropped at once, so that making room costs little for each insertion.
const DROPPED_PART: usize = 8;

/// What is remembered by key, at most so many entries.
#[derive(Debug)]
pub(crate) struct LruMap<K, V> {
    entries: HashMap<K, Entry<V>>,
    capacity: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    used: u64,
}

impl<K: Eq + Hash, V> LruMap<K, V> {
    /// Returns an empty map of at most `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            uses: 0,
        }
    }

    /// Returns what is remembered of `key`, and takes note that it is used.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.uses;
        Some(&mut entry.value)
    }

    /// Returns whether anything is remembered of `key`, without taking it for a use.
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Remembers `value` of `key` instead of what was before.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.make_room();
        }
        self.uses += 1;
        let used = self.uses;
        self.entries.insert(key, Entry { value, used });
    }

    /// Forgets `key` and returns what was remembered of it.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|entry| entry.value)
    }

    /// Forgets what was used least recently, but for `kept` entries, and gives their memory back.
    pub(crate) fn shed(&mut self, kept: usize) {
        if let Some(surplus) = self.entries.len().checked_sub(kept) {
            self.forget(surplus);
            self.entries.shrink_to_fit();
        }
    }

    fn make_room(&mut self) {
        self.forget((self.entries.len() / DROPPED_PART).max(1));
    }

    /// Forgets the `count` entries that were used least recently.
    fn forget(&mut self, count: usize) {
        let mut used: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        let last = count.min(used.len()).checked_sub(1);
        if let Some(last) = last {
            let (_, newest, _) = used.select_nth_unstable(last);
            let newest = *newest;
            self.entries.retain(|_, entry| entry.used > newest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_within_its_bound_and_forgets_the_least_recently_used() {
        let mut map = LruMap::new(16);
        for key in 0..16 {
            map.insert(key, key * 10);
        }
        assert_eq!(map.get_mut(&0), Some(&mut 0));
        for key in 16..1000 {
            map.insert(key, 0);
            assert!(map.entries.len() <= 16);
            assert!(map.get_mut(&0).is_some(), "still used when {key} came");
        }
        assert!(!map.contains(&1));
    }

    #[test]
    fn keeps_the_most_recently_used_when_it_sheds() {
        let mut map = LruMap::new(1000);
        for key in 0..1000 {
            map.insert(key, key);
        }
        assert!(map.get_mut(&3).is_some());
        map.shed(2000);
        assert_eq!(map.entries.len(), 1000, "it has no more than that");
        map.shed(10);
        assert_eq!(map.entries.len(), 10);
        assert!(map.entries.capacity() < 100);
        assert!(map.contains(&3) && map.contains(&999));
        map.shed(0);
        assert_eq!(map.get_mut(&3), None);
    }

    #[test]
    fn keeps_room_for_one_when_tiny() {
        let mut map = LruMap::new(1);
        map.insert(1, 'a');
        map.insert(2, 'b');
        assert_eq!(map.get_mut(&2), Some(&mut 'b'));
        map.insert(2, 'c');
        assert_eq!(map.remove(&2), Some('c'));
        assert_eq!(map.get_mut(&2), None);
    }
}
