//! Random moments that a seed repeats. Must be the only randomness of a crash test.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood 2014): one multiplication-xor chain per number, any seed will do.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    state: u64,
}

impl Moments {
    pub(super) fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A duration of at least `shortest` and less than `longest`, to the microsecond.
    pub(super) fn within(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let span = longest.saturating_sub(shortest).as_micros().max(1);
        let offset = u128::from(self.next()) % span;
        shortest + Duration::from_micros(offset as u64)
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_moments_within_their_bounds() {
        let (shortest, longest) = (Duration::from_millis(5), Duration::from_millis(9));
        let take = |seed| {
            let mut moments = Moments::from_seed(seed);
            std::array::from_fn::<_, 100, _>(|_| moments.within(shortest, longest))
        };
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
        assert!(
            take(7)
                .iter()
                .all(|moment| (shortest..longest).contains(moment))
        );
    }
}
