//! Stored signals, searched block by block. Must decode a bounded number of blocks for one answer.

use inquest_api::signal::SignalKind;
use inquest_api::time;
use inquest_engine::model::Timestamp;
use inquest_proto::v1;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tracing::error;

use super::{
    CommitError, ReadError,
    block::{self, Block},
    column,
};
use crate::telemetry::ErrorChain;

/// Most blocks decoded for one answer, a page of fewer matches then says where to go on; at 1000
/// signals a block this takes a few hundred milliseconds.
const MAX_BLOCKS_PER_READ: u32 = 128;

/// Which signals are asked for; an absent part matches all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SignalQuery {
    pub kind: Option<SignalKind>,
    pub node: Option<String>,
    /// Observed at or after.
    pub since: Option<Timestamp>,
    /// Observed before.
    pub until: Option<Timestamp>,
    /// Cgroup path, or id in digits.
    pub cgroup: Option<String>,
    pub pid: Option<u32>,
    pub from: From,
    pub limit: u32,
}

/// Where to begin and in which direction. Signals are numbered in the order in which they were stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum From {
    /// Newest first, below this number; `u64::MAX` begins at the newest.
    Before(u64),
    /// Oldest first, from this number on.
    At(u64),
}

impl Default for From {
    fn default() -> Self {
        Self::Before(u64::MAX)
    }
}

/// One page of signals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SignalPage {
    pub signals: Vec<v1::Signal>,
    /// The number to go on from, in the same direction; absent when going back found the oldest.
    pub next: Option<u64>,
}

/// Writes signals as new blocks; gives the number that the next signal will have.
pub(super) fn append(
    connection: &Connection,
    signals: &[v1::Signal],
    now: Timestamp,
) -> Result<u64, CommitError> {
    let mut number = next_number(connection)?;
    for block in Block::encode_all(signals)? {
        insert(connection, number, &block, now)?;
        number += block.count;
    }
    Ok(number)
}

pub(super) fn insert(
    connection: &Connection,
    first_number: u64,
    block: &Block,
    stored_at: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO signal_block (first_number, count, stored_at, min_observed_at, max_observed_at,
                 kinds, nodes, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            first_number.cast_signed(),
            block.count.cast_signed(),
            column(stored_at),
            column(block.min_observed_at),
            column(block.max_observed_at),
            block.kinds,
            block.nodes,
            block.payload,
        ])?;
    Ok(())
}

/// The number that the next stored signal gets. The newest block is never deleted, so it only grows.
pub(super) fn next_number(connection: &Connection) -> rusqlite::Result<u64> {
    let next: i64 = connection
        .prepare_cached(
            "SELECT coalesce((SELECT first_number + count FROM signal_block
                              ORDER BY first_number DESC LIMIT 1), 1)",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(next.cast_unsigned())
}

/// How many signals are kept.
pub fn count(connection: &Connection) -> Result<u64, ReadError> {
    let oldest: Option<i64> =
        connection.query_row("SELECT min(first_number) FROM signal_block", [], |row| {
            row.get(0)
        })?;
    let Some(oldest) = oldest else { return Ok(0) };
    Ok(next_number(connection)?.saturating_sub(oldest.cast_unsigned()))
}

/// When the newest signal was stored, by the aggregator's clock; `None` while there is none.
pub(super) fn newest_stored_at(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let newest: Option<i64> = connection
        .query_row(
            "SELECT stored_at FROM signal_block ORDER BY first_number DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(newest.map(Timestamp::from_nanos))
}

/// The newest signals, at most `limit`, oldest first.
pub(super) fn newest(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<v1::Signal>> {
    let mut statement = connection.prepare(
        "SELECT first_number, count, payload FROM signal_block ORDER BY first_number DESC",
    )?;
    let mut rows = statement.query([])?;
    let (mut blocks, mut total) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if total >= limit {
            break;
        }
        let signals = Stored::read(row)?.decode();
        total += signals.len();
        blocks.push(signals);
    }
    let surplus = total.saturating_sub(limit);
    Ok(blocks.into_iter().rev().flatten().skip(surplus).collect())
}

/// One page of the signals that match.
pub fn list(connection: &Connection, query: &SignalQuery) -> Result<SignalPage, ReadError> {
    let (order, begin) = match query.from {
        From::Before(number) => (
            "first_number < ?1 ORDER BY first_number DESC",
            i64::try_from(number).unwrap_or(i64::MAX),
        ),
        From::At(number) => (
            "first_number >= ?1 ORDER BY first_number",
            block_holding(connection, number)?,
        ),
    };
    let sql = format!(
        "SELECT first_number, count, payload FROM signal_block
         WHERE max_observed_at >= ?2 AND min_observed_at < ?3 AND (kinds & ?4) <> 0 AND (nodes & ?5) <> 0
             AND {order} LIMIT ?6"
    );
    let everything = -1;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![
        begin,
        query.since.map_or(i64::MIN, column),
        query.until.map_or(i64::MAX, column),
        query.kind.map_or(everything, block::kind_mask),
        query.node.as_deref().map_or(everything, block::node_bit),
        MAX_BLOCKS_PER_READ,
    ])?;
    let mut page = PageBuilder::new(query);
    let mut blocks = 0;
    while let Some(row) = rows.next()? {
        blocks += 1;
        if page.take(Stored::read(row)?) {
            return Ok(page.finish());
        }
    }
    if blocks < MAX_BLOCKS_PER_READ {
        page.next = match query.from {
            From::Before(_) => None,
            From::At(number) => Some(next_number(connection)?.max(number)),
        };
    }
    Ok(page.finish())
}

/// The first number of the block that holds signal `number`, or of the oldest one.
fn block_holding(connection: &Connection, number: u64) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT coalesce((SELECT first_number FROM signal_block WHERE first_number <= ?1
                              ORDER BY first_number DESC LIMIT 1), 0)",
        )?
        .query_row([i64::try_from(number).unwrap_or(i64::MAX)], |row| {
            row.get(0)
        })
}

/// A row of `signal_block`, not yet decoded.
struct Stored {
    first_number: u64,
    count: u64,
    payload: Vec<u8>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            first_number: row.get::<_, i64>(0)?.cast_unsigned(),
            count: row.get::<_, i64>(1)?.cast_unsigned(),
            payload: row.get(2)?,
        })
    }

    /// The block's signals; none of a damaged block, which the log names.
    fn decode(&self) -> Vec<v1::Signal> {
        block::decode(&self.payload, self.count).unwrap_or_else(|error| {
            error!(
                first_number = self.first_number,
                signals = self.count,
                error = %ErrorChain(&error),
                "a stored block of signals is damaged; its signals are lost"
            );
            Vec::new()
        })
    }
}

/// Collects matches of one page in the query's direction.
struct PageBuilder<'a> {
    query: &'a SignalQuery,
    signals: Vec<v1::Signal>,
    next: Option<u64>,
}

impl<'a> PageBuilder<'a> {
    fn new(query: &'a SignalQuery) -> Self {
        Self {
            query,
            signals: Vec::new(),
            next: None,
        }
    }

    /// Takes the matches of one block; true when the page is full.
    fn take(&mut self, block: Stored) -> bool {
        let numbered = (block.first_number..).zip(block.decode());
        match self.query.from {
            From::Before(bound) => {
                let mut numbered: Vec<_> = numbered.take_while(|(n, _)| *n < bound).collect();
                numbered.reverse();
                self.next = Some(block.first_number);
                self.add(numbered, |number| number)
            }
            From::At(bound) => {
                self.next = Some(block.first_number + block.count);
                self.add(numbered.skip_while(|(n, _)| *n < bound), |number| {
                    number + 1
                })
            }
        }
    }

    fn add(
        &mut self,
        numbered: impl IntoIterator<Item = (u64, v1::Signal)>,
        after: impl Fn(u64) -> u64,
    ) -> bool {
        for (number, signal) in numbered {
            if !self.query.matches(&signal) {
                continue;
            }
            self.signals.push(signal);
            if self.signals.len() >= self.query.limit as usize {
                self.next = Some(after(number));
                return true;
            }
        }
        false
    }

    fn finish(self) -> SignalPage {
        SignalPage {
            signals: self.signals,
            next: self.next,
        }
    }
}

impl SignalQuery {
    fn matches(&self, signal: &v1::Signal) -> bool {
        let at = time::observed_at(signal).unwrap_or_default();
        self.kind.is_none_or(|kind| SignalKind::of(signal) == kind)
            && self.node.as_ref().is_none_or(|node| signal.node == *node)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
            && self.matches_subject(signal.subject.as_ref())
    }

    fn matches_subject(&self, subject: Option<&v1::Subject>) -> bool {
        let cgroup = subject.and_then(|subject| subject.cgroup.as_ref());
        let process = subject.and_then(|subject| subject.process.as_ref());
        let is_cgroup = |wanted: &String| {
            cgroup.is_some_and(|cgroup| {
                cgroup.path == *wanted || wanted.parse().is_ok_and(|id: u64| cgroup.id == id)
            })
        };
        self.cgroup.as_ref().is_none_or(is_cgroup)
            && self
                .pid
                .is_none_or(|pid| process.is_some_and(|process| process.pid == pid))
    }
}
