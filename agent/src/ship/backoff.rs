//! How long to wait before the next attempt: exponential with full jitter; must not sleep or read a
//! clock.

use std::time::Duration;

use thiserror::Error;

/// A pair of bounds that makes no backoff.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NewBackoffError {
    /// The shortest wait is zero, which would be a busy loop.
    #[error("the shortest wait of a backoff must not be zero")]
    ZeroMin,
    /// The bounds are the wrong way round.
    #[error("the shortest wait of a backoff ({min:?}) is above the longest ({max:?})")]
    MinAboveMax {
        /// The shortest wait asked for.
        min: Duration,
        /// The longest wait asked for.
        max: Duration,
    },
}

/// Waits that grow with each failure: each is drawn evenly from `min` to a ceiling that doubles
/// from `min` to `max`, so that agents cut off together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Makes a backoff; refuses bounds that make none.
    pub fn try_new(min: Duration, max: Duration) -> Result<Self, NewBackoffError> {
        if min.is_zero() {
            return Err(NewBackoffError::ZeroMin);
        }
        if min > max {
            return Err(NewBackoffError::MinAboveMax { min, max });
        }
        Ok(Self {
            min,
            max,
            ceiling: min,
        })
    }

    /// Returns the next wait. `random` is any number, evenly distributed over all.
    pub fn next_wait(&mut self, random: u64) -> Duration {
        let fraction = random as f64 / u64::MAX as f64;
        let wait = self.min + self.ceiling.saturating_sub(self.min).mul_f64(fraction);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        wait.clamp(self.min, self.max)
    }

    /// Begins anew, after things went well.
    pub fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_makes_no_backoff() {
        let (zero, one, two) = (
            Duration::ZERO,
            Duration::from_secs(1),
            Duration::from_secs(2),
        );
        assert_eq!(
            Backoff::try_new(zero, one).unwrap_err(),
            NewBackoffError::ZeroMin
        );
        assert!(matches!(
            Backoff::try_new(two, one),
            Err(NewBackoffError::MinAboveMax { .. })
        ));
    }

    #[test]
    fn doubles_up_to_the_longest_wait_and_begins_anew_after_a_reset() {
        let mut backoff =
            Backoff::try_new(Duration::from_millis(100), Duration::from_millis(350)).unwrap();
        let waits: Vec<u128> = (0..4)
            .map(|_| backoff.next_wait(u64::MAX).as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(backoff.next_wait(u64::MAX), Duration::from_millis(100));
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds(min in 1_u64..10_000_000_000, more in 0_u64..u64::MAX / 4,
            randoms in prop::collection::vec(any::<u64>(), 1..80))
        {
            let (min, max) = (Duration::from_nanos(min), Duration::from_nanos(min + more));
            let mut backoff = Backoff::try_new(min, max).unwrap();
            for random in randoms {
                let wait = backoff.next_wait(random);
                prop_assert!(!wait.is_zero() && min <= wait && wait <= max);
            }
        }

        #[test]
        fn spreads_over_the_whole_span(random in any::<u64>()) {
            let mut backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(9)).unwrap();
            for _ in 0..10 {
                backoff.next_wait(0);
            }
            let expected = 1.0 + 8.0 * (random as f64 / u64::MAX as f64);
            prop_assert!((backoff.next_wait(random).as_secs_f64() - expected).abs() < 1e-6);
        }
    }
}
