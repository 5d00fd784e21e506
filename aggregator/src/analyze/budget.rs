//! How many calls an hour may hold. Must count retries too: a provider bills them.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

const HOUR: Duration = Duration::from_hours(1);

/// A sliding window over the calls of the last hour.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u32,
    /// Oldest first; never longer than `limit`.
    calls: VecDeque<Instant>,
}

impl Budget {
    /// Allows `limit` calls within any hour.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            calls: VecDeque::new(),
        }
    }

    /// Counts a call at `now` when there is room for it.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        while self
            .calls
            .front()
            .is_some_and(|call| now.duration_since(*call) >= HOUR)
        {
            self.calls.pop_front();
        }
        let has_room = self.calls.len() < self.limit as usize;
        if has_room {
            self.calls.push_back(now);
        }
        has_room
    }

    /// Calls allowed within an hour.
    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn allows_no_more_than_its_limit_within_any_hour() {
        let start = Instant::now();
        let mut budget = Budget::new(3);
        let taken: Vec<_> = [0, 10, 20, 30, 3599, 3600, 3601, 3610]
            .map(|second| budget.take(start + Duration::from_secs(second)))
            .into();
        assert_eq!(taken, [true, true, true, false, false, true, false, true]);
    }
}
