//! Merges small blocks into full ones. Must keep every signal's number, so that cursors stay valid.

use std::time::Duration;

use inquest_engine::model::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    CommitError,
    block::{self, Block, MAX_BLOCK_SIGNALS},
    column, signals,
};

/// Blocks rest this long before they are merged: followers read the newest ones, and a step should
/// not wait for a merge of what was just written.
const MIN_AGE: Duration = Duration::from_mins(1);
/// Most blocks merged at a time: a few milliseconds of work between two steps.
const MAX_BLOCKS: u32 = 256;

/// Where merging goes on. Everything before it is in full blocks, as far as that is possible.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compaction {
    from: i64,
}

/// A block that waits to be merged.
struct Small {
    first_number: i64,
    count: i64,
    stored_at: i64,
    payload: Vec<u8>,
}

impl Compaction {
    /// Begins behind the newest full block.
    pub(super) fn resume(connection: &Connection) -> rusqlite::Result<Self> {
        let newest_full: Option<i64> = connection
            .query_row(
                "SELECT first_number + count FROM signal_block WHERE count >= ?1
                 ORDER BY first_number DESC LIMIT 1",
                [MAX_BLOCK_SIGNALS as i64],
                |row| row.get(0),
            )
            .optional()?;
        Ok(Self {
            from: newest_full.unwrap_or(0),
        })
    }

    /// Merges the next run of small blocks if there is enough of it; true when there may be more.
    pub(super) fn merge_next(
        &mut self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<bool, CommitError> {
        let run = self.next_run(connection, now)?;
        let signals_in_run: i64 = run.iter().map(|small| small.count).sum();
        let enough = run.len() >= MAX_BLOCKS as usize || signals_in_run >= MAX_BLOCK_SIGNALS as i64;
        let (true, Some(first), Some(last)) = (enough, run.first(), run.last()) else {
            return Ok(false);
        };
        let end = last.first_number + last.count;
        if run.len() == 1 {
            // It came in full.
            self.from = end;
            return Ok(true);
        }
        let mut signals = Vec::new();
        for small in &run {
            let Ok(decoded) = block::decode(&small.payload, small.count.cast_unsigned()) else {
                // A damaged block stays as it is for readers to report; merging goes on behind it.
                self.from = small.first_number + small.count;
                return Ok(true);
            };
            signals.extend(decoded);
        }
        let transaction = connection.transaction()?;
        transaction.execute(
            "DELETE FROM signal_block WHERE first_number BETWEEN ?1 AND ?2",
            params![first.first_number, last.first_number],
        )?;
        let mut number = first.first_number.cast_unsigned();
        let stored_at = Timestamp::from_nanos(last.stored_at);
        let mut newest = number;
        for block in Block::encode_all(&signals)? {
            signals::insert(&transaction, number, &block, stored_at)?;
            newest = number;
            number += block.count;
        }
        transaction.commit()?;
        // The last block of the run may still grow; those before it are done.
        let grows = end.cast_unsigned() - newest < MAX_BLOCK_SIGNALS as u64;
        self.from = if grows { newest.cast_signed() } else { end };
        Ok(true)
    }

    fn next_run(self, connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Small>> {
        let mut statement = connection.prepare_cached(
            "SELECT first_number, count, stored_at, payload FROM signal_block
             WHERE first_number >= ?1 ORDER BY first_number LIMIT ?2",
        )?;
        let mut rows = statement.query(params![self.from, MAX_BLOCKS])?;
        let (mut run, mut total) = (Vec::new(), 0);
        let newest_allowed = column(now.minus(MIN_AGE));
        while let Some(row) = rows.next()? {
            let small = Small {
                first_number: row.get(0)?,
                count: row.get(1)?,
                stored_at: row.get(2)?,
                payload: row.get(3)?,
            };
            if small.stored_at > newest_allowed || total >= MAX_BLOCK_SIGNALS as i64 {
                break;
            }
            total += small.count;
            run.push(small);
        }
        Ok(run)
    }
}
