//! Finds queries that a resolver library only makes because it tries one search domain after another. Bounded; must not be
//! told of what it cannot know: it guesses from the order of one process's queries.

use crate::attribute::LruMap;

/// Processes and types whose last query is remembered.
const MAX_REMEMBERED: usize = 4096;
/// Those that are kept when memory is near its bound.
const KEPT: usize = 256;
/// Time within which one query is tried after another.
const WITHIN_NS: u64 = 10_000_000_000;

/// The last query of each process and type.
#[derive(Debug)]
pub(super) struct Searches {
    last: LruMap<(u32, u16), Last>,
}

#[derive(Debug)]
struct Last {
    name: String,
    ktime_ns: u64,
    /// It was answered with what was asked for.
    found: bool,
}

impl Default for Searches {
    fn default() -> Self {
        Self {
            last: LruMap::new(MAX_REMEMBERED),
        }
    }
}

impl Searches {
    /// Takes note of a query of process `pid`; returns whether it and the one before are tries of the same search.
    pub(super) fn asked(&mut self, pid: u32, kind: u16, name: &str, ktime_ns: u64) -> bool {
        if pid == 0 {
            return false;
        }
        let before = self.last.get_mut(&(pid, kind));
        let continues = before.is_some_and(|before| {
            let soon = ktime_ns.saturating_sub(before.ktime_ns) < WITHIN_NS;
            soon && !before.found && is_next_try(&before.name, name)
        });
        let last = Last {
            name: name.to_owned(),
            ktime_ns,
            found: false,
        };
        self.last.insert((pid, kind), last);
        continues
    }

    /// Forgets all but a few.
    pub(super) fn shed(&mut self) {
        self.last.shed(KEPT);
    }

    /// Takes note that a query of process `pid` was answered with what was asked for.
    pub(super) fn found(&mut self, pid: u32, kind: u16, name: &str) {
        if let Some(last) = self.last.get_mut(&(pid, kind))
            && last.name == name
        {
            last.found = true;
        }
    }
}

/// Whether `next` is `before` with another search domain, with one more, or with none: both begin alike, and the longer
/// one only has labels between that beginning and the end that both share.
fn is_next_try(before: &str, next: &str) -> bool {
    if before == next {
        return false;
    }
    let labels = |name: &str| name.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (before, next) = (labels(before), labels(next));
    let (long, short) = if before.len() > next.len() {
        (&before, &next)
    } else {
        (&next, &before)
    };
    let alike = long.iter().zip(short).take_while(|(a, b)| a == b).count();
    let rest = short.len().saturating_sub(alike);
    let shared = long
        .iter()
        .rev()
        .zip(short.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    alike > 0 && shared >= rest && long.len() > short.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_tries_of_a_search_from_other_queries() {
        for (before, next, expected) in [
            // The search list of a pod, in its order.
            ("db.shop.svc.cluster.local", "db.svc.cluster.local", true),
            ("db.svc.cluster.local", "db.cluster.local", true),
            ("db.cluster.local", "db", true),
            ("api.example.com.cluster.local", "api.example.com", true),
            // With few dots wanted, the name itself comes first.
            ("db", "db.shop.svc.cluster.local", true),
            ("db.cluster.local", "db.cluster.local", false),
            ("db.cluster.local", "web.cluster.local", false),
            ("www.example.com", "api.example.com", false),
            ("example.com", "example.org", false),
        ] {
            assert_eq!(is_next_try(before, next), expected, "{before} then {next}");
        }
    }

    #[test]
    fn counts_only_what_follows_a_try_in_vain_of_the_same_process() {
        let mut searches = Searches::default();
        assert!(!searches.asked(1, 1, "db.cluster.local", 1));
        assert!(!searches.asked(2, 1, "db", 2), "another process");
        assert!(!searches.asked(1, 28, "db", 2), "another type");
        assert!(searches.asked(1, 1, "db", 3));
        searches.found(1, 1, "db");
        assert!(
            !searches.asked(1, 1, "db.cluster.local", 4),
            "that was found"
        );
        assert!(!searches.asked(1, 1, "db", 5 + WITHIN_NS), "long after");
        assert!(!searches.asked(0, 1, "db", 5), "whoever that is");
    }
}
