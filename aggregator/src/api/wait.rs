//! Long polls: a request waits until something new is stored, or its time is up. Must not poll the store
//! while nothing changed.

use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{ApiState, error::ApiError};

/// Longest wait that a request may ask for.
pub(super) const MAX_WAIT: Duration = Duration::from_mins(1);

/// One request's patience.
#[derive(Debug)]
pub(super) struct Wait {
    until: Instant,
    stop: CancellationToken,
    waiting: Gauge,
}

impl Wait {
    /// Reads `wait=SECONDS`; absent means not at all.
    pub(super) fn parse(seconds: Option<u64>, state: &ApiState) -> Result<Self, ApiError> {
        let wait = Duration::from_secs(seconds.unwrap_or(0));
        if wait > MAX_WAIT {
            let max = MAX_WAIT.as_secs();
            return Err(ApiError::invalid(format!(
                "wait must be within 0..={max} (seconds)"
            )));
        }
        Ok(Self {
            until: Instant::now() + wait,
            stop: state.stop.clone(),
            waiting: state.metrics.api.waiting.clone(),
        })
    }

    /// Whether the time is up, which without `wait` it is from the beginning.
    pub(super) fn is_over(&self) -> bool {
        self.until <= Instant::now() || self.stop.is_cancelled()
    }

    /// Waits until what `seen` shows is news; false when the time is up or the process stops.
    pub(super) async fn until<T>(
        &self,
        seen: &mut watch::Receiver<T>,
        is_news: impl FnMut(&T) -> bool,
    ) -> bool {
        if self.is_over() {
            return false;
        }
        let _counted = Counted::in_gauge(&self.waiting);
        tokio::select! {
            news = seen.wait_for(is_news) => news.is_ok(),
            () = tokio::time::sleep_until(self.until) => false,
            () = self.stop.cancelled() => false,
        }
    }
}

/// One more in a gauge until dropped, which a client that hangs up does at any await.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn in_gauge(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
