//! The wall clock, read in one place. Must not be used by anything that decides: the engine gets time as data.

use std::time::{SystemTime, UNIX_EPOCH};

use inquest_engine::model::Timestamp;

/// The time now, UTC; the epoch when the clock is set before it.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}
