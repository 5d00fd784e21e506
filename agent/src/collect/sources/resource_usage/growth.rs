//! The growth of one cgroup's memory over the last ten minutes. Pure: time comes with each sample.

use std::{collections::VecDeque, time::Duration};

/// How far back the slope looks.
const SPAN: Duration = Duration::from_mins(10);
/// Samples kept: one each ten seconds over the span.
const MAX_POINTS: usize = 60;
/// Below this many samples a slope is a coincidence.
const MIN_POINTS: usize = 3;
/// Bytes that one step of a kept sample stands for: with it 32 bits hold 16 TiB.
const UNIT_BYTES: u64 = 4096;

/// Samples of the last ten minutes, eight bytes each.
#[derive(Clone, Debug, Default)]
pub(super) struct Growth {
    points: VecDeque<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at_ms: u32,
    units: u32,
}

/// How memory grew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slope {
    /// By least squares; below zero when it shrank.
    pub(super) bytes_per_second: f64,
    /// Between the first and the last sample that it rests on.
    pub(super) over: Duration,
}

impl Growth {
    /// Takes note that there were `bytes` at `at`, which is since any fixed moment and never goes back.
    pub(super) fn push(&mut self, at: Duration, bytes: u64) {
        let point = Point {
            at_ms: u32::try_from(at.as_millis()).unwrap_or(u32::MAX),
            units: u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX),
        };
        let span_ms = SPAN.as_millis() as u32;
        let is_old = |old: &Point| point.at_ms.saturating_sub(old.at_ms) > span_ms;
        while self.points.len() >= MAX_POINTS || self.points.front().is_some_and(is_old) {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }

    /// Returns the slope, `None` while there are too few samples.
    pub(super) fn slope(&self) -> Option<Slope> {
        let (first, last) = (self.points.front()?, self.points.back()?);
        let over_ms = last.at_ms.saturating_sub(first.at_ms);
        if self.points.len() < MIN_POINTS || over_ms == 0 {
            return None;
        }
        let count = self.points.len() as f64;
        let seconds = |point: &Point| f64::from(point.at_ms.saturating_sub(first.at_ms)) / 1000.0;
        let mean_x = self.points.iter().map(seconds).sum::<f64>() / count;
        let mean_y = self
            .points
            .iter()
            .map(|point| f64::from(point.units))
            .sum::<f64>()
            / count;
        let (mut covariance, mut variance) = (0.0, 0.0);
        for point in &self.points {
            let x = seconds(point) - mean_x;
            covariance += x * (f64::from(point.units) - mean_y);
            variance += x * x;
        }
        (variance > 0.0).then(|| Slope {
            bytes_per_second: covariance / variance * UNIT_BYTES as f64,
            over: Duration::from_millis(u64::from(over_ms)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn growth(samples: impl IntoIterator<Item = (u64, u64)>) -> Growth {
        let mut growth = Growth::default();
        for (second, bytes) in samples {
            growth.push(Duration::from_secs(second), bytes);
        }
        growth
    }

    #[test]
    fn finds_the_slope_of_a_straight_line() {
        for (per_step, expected) in [(MIB, MIB as f64 / 10.0), (0, 0.0)] {
            let growth = growth((0..30).map(|step| (step * 10, 64 * MIB + step * per_step)));
            let slope = growth.slope().unwrap();
            assert!((slope.bytes_per_second - expected).abs() < 1.0, "{slope:?}");
            assert_eq!(slope.over, Duration::from_secs(290));
        }
        let shrinking = growth((0..30).map(|step| (step * 10, 64 * MIB - step * MIB)));
        assert!(shrinking.slope().unwrap().bytes_per_second < -100_000.0);
    }

    #[test]
    fn is_not_moved_much_by_one_spike() {
        let mut samples: Vec<_> = (0..60).map(|step| (step * 10, 64 * MIB)).collect();
        samples[30].1 = 128 * MIB;
        let slope = growth(samples).slope().unwrap().bytes_per_second;
        assert!(slope.abs() < 10_000.0, "{slope}");
    }

    #[test]
    fn tells_nothing_of_too_few_samples() {
        assert_eq!(growth([]).slope(), None);
        assert_eq!(growth([(0, MIB), (10, 2 * MIB)]).slope(), None);
        assert_eq!(growth([(5, MIB), (5, MIB), (5, MIB)]).slope(), None);
    }

    #[test]
    fn forgets_what_is_older_than_its_span() {
        // Long flat, then steep: of the flat part only what is within ten minutes counts.
        let flat = (0..100).map(|step| (step * 10, MIB));
        let steep = (100..160).map(|step| (step * 10, (step - 99) * MIB));
        let slope = growth(flat.chain(steep)).slope().unwrap();
        assert!(
            (slope.bytes_per_second - MIB as f64 / 10.0).abs() < 1.0,
            "{slope:?}"
        );
        assert!(slope.over <= SPAN);
    }

    proptest! {
        #[test]
        fn stays_bounded_and_finite(samples in proptest::collection::vec((0_u64..u64::MAX / 2, any::<u64>()), 0..200)) {
            let mut samples = samples;
            samples.sort_unstable();
            let growth = growth(samples);
            prop_assert!(growth.points.len() <= MAX_POINTS);
            if let Some(slope) = growth.slope() {
                prop_assert!(slope.bytes_per_second.is_finite());
            }
        }
    }
}
