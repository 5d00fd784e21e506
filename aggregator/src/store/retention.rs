//! Gives space back: signals and incidents past their time, and the oldest when the file is too large.
//! Must never touch an open incident nor the newest block.

use inquest_engine::model::Timestamp;
use rusqlite::{Connection, params};

use super::{CommitError, column, incidents, streams};
use crate::config::Retention;

/// Most blocks deleted at a time: a few milliseconds of work between two steps.
const MAX_BLOCKS: u32 = 64;
/// Most incidents deleted at a time, for the same reason.
const MAX_INCIDENTS: u32 = 64;
/// Pages given back to the file system at a time: 4 MiB.
const VACUUM_PAGES: u32 = 1024;

/// What one round of retention removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Expired {
    pub signals: u64,
    pub incidents: u64,
    /// There may be more to remove.
    pub more: bool,
}

/// Removes a bounded amount of what is past its time, or of the oldest when the file is too large.
pub(super) fn expire(
    connection: &mut Connection,
    retention: &Retention,
    now: Timestamp,
) -> Result<Expired, CommitError> {
    let too_large = used_bytes(connection)? > retention.max_size;
    let transaction = connection.transaction()?;
    let signal_cutoff = (!too_large).then(|| now.minus(retention.signals));
    let (blocks, signals) = expire_blocks(&transaction, signal_cutoff)?;
    // Incidents are small; they go early only when no signals are left to go.
    let any_age = too_large && blocks == 0;
    let incident_cutoff = (!any_age).then(|| now.minus(retention.incidents));
    let incidents = incidents::expire(&transaction, incident_cutoff, MAX_INCIDENTS)?;
    streams::forget_oldest(&transaction)?;
    transaction.commit()?;
    if blocks > 0 || incidents > 0 {
        give_back(connection)?;
    }
    Ok(Expired {
        signals,
        incidents: incidents as u64,
        more: blocks >= MAX_BLOCKS as usize
            || incidents >= MAX_INCIDENTS as usize
            || (too_large && blocks > 0),
    })
}

/// Deletes the oldest blocks stored before `cutoff`, `None` meaning of any age; how many and their signals.
fn expire_blocks(
    connection: &Connection,
    cutoff: Option<Timestamp>,
) -> rusqlite::Result<(usize, u64)> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM signal_block WHERE first_number IN (
             SELECT first_number FROM signal_block
             WHERE first_number < (SELECT max(first_number) FROM signal_block)
             ORDER BY first_number LIMIT ?2)
         AND stored_at < ?1 RETURNING count",
    )?;
    let counts: Vec<i64> = statement
        .query_map(
            params![cutoff.map_or(i64::MAX, column), MAX_BLOCKS],
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<_>>()?;
    Ok((counts.len(), counts.iter().sum::<i64>().cast_unsigned()))
}

/// Bytes of the file that hold something.
fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok((pages * pragma("page_size")?).cast_unsigned())
}

fn give_back(connection: &Connection) -> rusqlite::Result<()> {
    // The pragma gives a row per page; it works only as far as it is stepped.
    let mut statement =
        connection.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
