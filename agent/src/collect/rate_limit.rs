//! Limits how many bulk signals one cgroup may cause, so that a restart loop or a build does not crowd out
//! the rest. Pure: time comes with each question.

use std::collections::HashMap;

/// Signals a second that a cgroup may cause for long.
const RATE_PER_SECOND: u64 = 20;
/// Signals that it may cause at once.
const BURST: u64 = 50;
/// Time that gives back one signal.
const NS_PER_TOKEN: u64 = 1_000_000_000 / RATE_PER_SECOND;
/// Cgroups told apart; more than a node runs containers. When full, those that have their whole burst back
/// are forgotten, which changes nothing for them.
const MAX_CGROUPS: usize = 4096;

/// A bucket of tokens for each cgroup.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    /// When the bucket would be full again, by the records' clock.
    full_at: HashMap<u64, u64>,
}

impl RateLimit {
    /// Returns whether cgroup `id` may cause a signal at `ktime_ns`, and takes note of it if so.
    pub(crate) fn admit(&mut self, id: u64, ktime_ns: u64) -> bool {
        if self.full_at.len() >= MAX_CGROUPS && !self.full_at.contains_key(&id) {
            self.full_at.retain(|_, full_at| *full_at > ktime_ns);
            if self.full_at.len() >= MAX_CGROUPS {
                return false;
            }
        }
        let full_at = self.full_at.entry(id).or_default();
        let next = (*full_at).max(ktime_ns).saturating_add(NS_PER_TOKEN);
        if next.saturating_sub(ktime_ns) > BURST * NS_PER_TOKEN {
            return false;
        }
        *full_at = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn admitted(limit: &mut RateLimit, id: u64, at: u64, tries: usize) -> usize {
        (0..tries).filter(|_| limit.admit(id, at)).count()
    }

    #[test]
    fn admits_a_burst_then_the_rate() {
        let mut limit = RateLimit::default();
        assert_eq!(admitted(&mut limit, 1, 10 * SECOND, 1000), 50);
        assert_eq!(admitted(&mut limit, 1, 11 * SECOND, 1000), 20);
        assert_eq!(
            admitted(&mut limit, 2, 11 * SECOND, 1000),
            50,
            "another cgroup has its own"
        );
        assert_eq!(admitted(&mut limit, 1, 60 * SECOND, 1000), 50);
    }

    #[test]
    fn stays_bounded_and_recovers() {
        let mut limit = RateLimit::default();
        for id in 0..2 * MAX_CGROUPS as u64 {
            limit.admit(id, SECOND);
        }
        assert!(limit.full_at.len() <= MAX_CGROUPS);
        assert!(limit.admit(u64::MAX, 100 * SECOND));
    }
}
