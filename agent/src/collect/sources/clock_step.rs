//! Tells that the wall clock was set. It is compared with CLOCK_BOOTTIME, which nobody can set and which goes on while the
//! node is suspended; both are slewed alike, so a clock that is disciplined changes nothing between them.

use std::time::Duration;

use inquest_proto::v1::{self, NodeEvent, node_event::Kind, signal::Body};
use rustix::time::{ClockId, clock_gettime};

use super::{
    super::{clock::ktime_now_ns, source::Source},
    Polled,
};
use crate::{attribute::Attributor, loss::Losses};

pub(super) const POLLED: Polled = Polled {
    name: "clock",
    without: "that the wall clock was set",
};
/// Time between two comparisons.
const INTERVAL: Duration = Duration::from_secs(1);
/// Smallest step that is told: below it, being interrupted between two readings might be taken for one, and no deadline
/// or certificate minds.
const MIN_STEP_NS: i128 = 100_000_000;
/// Readings of which the quickest counts.
const READINGS: usize = 3;
/// Name of the pattern.
const PATTERN: &str = "clock_step";

/// The wall clock's distance from CLOCK_BOOTTIME when it was last looked at.
#[derive(Debug)]
pub(super) struct ClockStep {
    offset_ns: i128,
}

impl ClockStep {
    /// Begins to watch the clock.
    pub(super) fn watch() -> Self {
        Self {
            offset_ns: offset_ns(),
        }
    }

    /// Returns by how much the clock was set to come to `offset_ns`, forwards positive; `None` when it was not.
    fn step_to(&mut self, offset_ns: i128) -> Option<i64> {
        let step_ns = offset_ns - self.offset_ns;
        self.offset_ns = offset_ns;
        let saturated = step_ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        (step_ns.abs() >= MIN_STEP_NS).then_some(saturated)
    }
}

impl Source for ClockStep {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, _losses: &mut Losses) -> Vec<v1::Signal> {
        let Some(step_ns) = self.step_to(offset_ns()) else {
            return Vec::new();
        };
        let event = NodeEvent {
            kind: Kind::ClockStep.into(),
            text: describe(step_ns),
            pattern: PATTERN.to_owned(),
            device: String::new(),
            step_ns,
            count: 1,
        };
        let body = Body::NodeEvent(event);
        vec![attributor.signal(ktime_now_ns(), v1::Subject::default(), body)]
    }
}

fn describe(step_ns: i64) -> String {
    let direction = if step_ns < 0 { "back" } else { "forward" };
    let seconds = step_ns.unsigned_abs() as f64 / 1e9;
    format!("the wall clock was set {direction} by {seconds:.3} s")
}

/// Measures how far the wall clock is from CLOCK_BOOTTIME.
fn offset_ns() -> i128 {
    let quickest = (0..READINGS)
        .map(|_| reading())
        .min_by_key(|(took_ns, _)| *took_ns);
    quickest.map_or(0, |(_, offset_ns)| offset_ns)
}

/// Returns how long a reading took, and what it says.
fn reading() -> (i128, i128) {
    let before = now_ns(ClockId::Boottime);
    let wall = now_ns(ClockId::Realtime);
    let after = now_ns(ClockId::Boottime);
    (after - before, wall - i128::midpoint(before, after))
}

fn now_ns(clock: ClockId) -> i128 {
    let now = clock_gettime(clock);
    i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    #[test]
    fn tells_a_step_once_and_in_its_direction() {
        let mut clock = ClockStep {
            offset_ns: 100 * SECOND,
        };
        for (offset_ns, expected) in [
            (100 * SECOND, None),
            (100 * SECOND + 1_000_000, None),
            (160 * SECOND, Some(60_000_000_000 - 1_000_000)),
            (160 * SECOND, None),
            (0, Some(-160_000_000_000)),
            (i128::from(i64::MAX) * 4, Some(i64::MAX)),
        ] {
            assert_eq!(clock.step_to(offset_ns), expected);
        }
    }

    #[test]
    fn a_clock_that_nobody_sets_keeps_its_distance() {
        let mut clock = ClockStep::watch();
        for _ in 0..1000 {
            assert_eq!(clock.step_to(offset_ns()), None);
        }
    }

    #[test]
    fn says_how_far_in_words() {
        assert_eq!(
            describe(-1_500_000_000),
            "the wall clock was set back by 1.500 s"
        );
    }
}
