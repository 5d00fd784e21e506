//! When to ask a provider again. Must give up early: an explanation is worth two more tries, not a queue.

use std::time::Duration;

use super::provider::AskError;

/// Attempts after the first.
const MAX_RETRIES: u32 = 2;
const MIN_BACKOFF: Duration = Duration::from_millis(500);
/// Longest wait that a provider may ask for; beyond it the incident is marked as failed instead.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The retries of one request.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    used: u32,
}

impl Retries {
    /// How long to wait before asking again after `error`; `None` to give up.
    pub(crate) fn wait(&mut self, error: &AskError) -> Option<Duration> {
        if !error.is_transient() || self.used == MAX_RETRIES {
            return None;
        }
        let backoff = jittered(MIN_BACKOFF * 2u32.pow(self.used));
        self.used += 1;
        let wait = error
            .retry_after()
            .map_or(backoff, |asked| asked.max(backoff));
        (wait <= MAX_WAIT).then_some(wait)
    }
}

/// From `wait` to twice as long, so that many aggregators do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    wait + wait.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(retry_after: Option<Duration>) -> AskError {
        AskError::Status {
            status: 429,
            message: String::new(),
            retry_after,
            for_good: false,
        }
    }

    #[test]
    fn waits_longer_each_time_and_gives_up() {
        let mut retries = Retries::default();
        let first = retries.wait(&refused(None)).unwrap();
        assert!(
            (MIN_BACKOFF..=MIN_BACKOFF * 2).contains(&first),
            "{first:?}"
        );
        let second = retries.wait(&refused(None)).unwrap();
        assert!(
            (MIN_BACKOFF * 2..=MIN_BACKOFF * 4).contains(&second),
            "{second:?}"
        );
        assert_eq!(retries.wait(&refused(None)), None);
    }

    #[test]
    fn waits_as_long_as_asked_within_bounds() {
        let asked = Duration::from_secs(7);
        assert_eq!(Retries::default().wait(&refused(Some(asked))), Some(asked));
        assert_eq!(
            Retries::default().wait(&refused(Some(Duration::from_hours(1)))),
            None
        );
    }

    #[test]
    fn does_not_repeat_what_will_not_change() {
        let denied = AskError::Status {
            status: 401,
            message: String::new(),
            retry_after: None,
            for_good: false,
        };
        assert_eq!(Retries::default().wait(&denied), None);
        let timeout = AskError::Timeout { after: MAX_WAIT };
        assert_eq!(Retries::default().wait(&timeout), None);
    }
}
