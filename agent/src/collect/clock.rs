//! Turns the kernel's monotonic time into wall-clock time; must not be used to measure.

use rustix::time::{ClockId, clock_gettime};

const NS_PER_SECOND: i128 = 1_000_000_000;

/// The distance between the two clocks when it was last measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    offset_ns: i128,
}

impl Clock {
    /// Measures the distance. To be repeated: the wall clock is slewed and set.
    pub fn measure() -> Self {
        // The wall clock is read between two readings of the other, so that being interrupted costs half.
        let before = now_ns(ClockId::Monotonic);
        let wall = now_ns(ClockId::Realtime);
        let after = now_ns(ClockId::Monotonic);
        Self {
            offset_ns: wall - i128::midpoint(before, after),
        }
    }

    /// Returns the wall-clock time of `ktime_ns`, which is by CLOCK_MONOTONIC.
    pub fn wall(self, ktime_ns: u64) -> pbjson_types::Timestamp {
        let ns = i128::from(ktime_ns) + self.offset_ns;
        pbjson_types::Timestamp {
            seconds: ns.div_euclid(NS_PER_SECOND) as i64,
            nanos: ns.rem_euclid(NS_PER_SECOND) as i32,
        }
    }
}

/// Returns the present by the clock that records carry.
pub fn ktime_now_ns() -> u64 {
    now_ns(ClockId::Monotonic) as u64
}

fn now_ns(clock: ClockId) -> i128 {
    let now = clock_gettime(clock);
    i128::from(now.tv_sec) * NS_PER_SECOND + i128::from(now.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_present_as_the_wall_clock_has_it() {
        let clock = Clock::measure();
        let converted = clock.wall(ktime_now_ns());
        let wall = jiff::Timestamp::now();
        let apart = (converted.seconds - wall.as_second()).abs();
        assert!(apart <= 1, "{apart} s apart");
    }

    #[test]
    fn keeps_nanoseconds_positive_before_1970() {
        let before = Clock { offset_ns: -1 }.wall(0);
        assert_eq!((before.seconds, before.nanos), (-1, 999_999_999));
    }
}
