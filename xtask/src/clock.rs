//! Time for a program without a runtime: how long something took, and waiting for a condition.
//!
//! The only file of this package that reads the clock or sleeps.
#![expect(
    clippy::disallowed_types,
    reason = "there is no tokio here whose clock a test could pause"
)]

use std::time::Duration;

/// How often a condition is looked at while waiting for it.
const POLL_PERIOD: Duration = Duration::from_millis(50);

/// Measures the time since it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts measuring now.
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Tells the time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Tells the time since the start as people read it, for example `1.2 s` or `3 min 05 s`.
    pub(crate) fn words(self) -> String {
        in_words(self.elapsed())
    }
}

/// Writes a duration as people read it.
pub(crate) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// Looks at `condition` until it holds or `deadline` has passed; tells whether it held.
pub(crate) fn wait_until(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let watch = Stopwatch::start();
    loop {
        if condition() {
            return true;
        }
        if watch.elapsed() >= deadline {
            return false;
        }
        pause();
    }
}

/// Gives the processor away for one poll period.
#[expect(clippy::disallowed_methods, reason = "no runtime to block")]
pub(crate) fn pause() {
    std::thread::sleep(POLL_PERIOD);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_durations_for_people() {
        assert_eq!(in_words(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(in_words(Duration::from_secs(185)), "3 min 05 s");
    }

    #[test]
    fn stops_waiting_when_the_condition_holds() {
        let mut looks = 0;
        assert!(wait_until(Duration::from_mins(1), || {
            looks += 1;
            looks == 3
        }));
        assert_eq!(looks, 3);
        assert!(!wait_until(Duration::ZERO, || false));
    }
}
