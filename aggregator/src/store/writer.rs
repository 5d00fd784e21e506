//! The one writer: a step is one transaction. Must not be shared.

use std::{path::Path, time::Duration};

use inquest_api::{Analysis, Incident, node::Node};
use inquest_engine::model::Timestamp;
use inquest_proto::v1;
use rusqlite::{Connection, TransactionBehavior};

use super::{
    CommitError, Expired, OpenError, Position, compaction::Compaction, incidents, nodes, retention,
    schema, signals, streams,
};
use crate::config::Retention;

/// Everything that one step changes.
#[derive(Debug)]
pub struct Step<'a> {
    pub now: Timestamp,
    /// New signals, node names filled in, in the order in which they are numbered.
    pub signals: &'a [v1::Signal],
    pub positions: &'a [Position],
    /// Changed incidents, whole; their `analysis` is not written from here.
    pub incidents: &'a [Incident],
    pub analyses: &'a [AnalysisUpdate],
    pub nodes: &'a [Node],
}

/// Where the explanation of one incident now stands.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisUpdate {
    pub incident_id: String,
    pub analysis: Analysis,
}

impl Step<'_> {
    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty()
            && self.positions.is_empty()
            && self.incidents.is_empty()
            && self.analyses.is_empty()
            && self.nodes.is_empty()
    }
}

/// A step that is in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Committed {
    /// The number that the next stored signal will get.
    pub next_signal: u64,
    /// An earlier attempt failed after its commit had become durable; nothing was written this time.
    pub was_there: bool,
}

/// What the process continues from.
#[derive(Debug, Default)]
pub struct Restored {
    /// The least recently moved first.
    pub positions: Vec<Position>,
    /// Open, or seen within the time asked for before the newest signal was stored.
    pub incidents: Vec<Incident>,
    /// Oldest first.
    pub signals: Vec<v1::Signal>,
    pub nodes: Vec<Node>,
    pub next_signal: u64,
}

/// How far back a restart reads. However long the process was away, the engine needs what it had when it
/// ended: nothing here counts from the time of the restart.
#[derive(Clone, Copy, Debug)]
pub struct RestoreWindow {
    /// So many of the newest signals.
    pub signals: usize,
    pub resolved_incidents: Duration,
}

/// The writing connection.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    compaction: Compaction,
    /// The number that the next signal gets as far as this writer knows: it alone moves it, so a store
    /// that is further has a commit which seemed to fail.
    next_signal: u64,
}

impl Writer {
    /// Opens the store, makes it when absent, checks it, and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connection = schema::open_writer(path)?;
        let unreadable = |source| OpenError::Open {
            path: path.to_owned(),
            source,
        };
        Ok(Self {
            compaction: Compaction::resume(&connection).map_err(unreadable)?,
            next_signal: signals::next_number(&connection).map_err(unreadable)?,
            connection,
        })
    }

    /// Reads what the process continues from.
    pub fn restore(
        &self,
        now: Timestamp,
        window: RestoreWindow,
    ) -> Result<Restored, rusqlite::Error> {
        let ended = signals::newest_stored_at(&self.connection)?.map_or(now, |at| at.min(now));
        let since = ended.minus(window.resolved_incidents);
        Ok(Restored {
            positions: streams::all(&self.connection)?,
            incidents: incidents::recent(&self.connection, since)?,
            signals: signals::newest(&self.connection, window.signals)?,
            nodes: nodes::all(&self.connection)?,
            next_signal: self.next_signal,
        })
    }

    /// Writes one step, all of it or nothing; durable when this returns.
    ///
    /// After an error the same step may be given again: if it had become durable all the same, its signals
    /// are not written twice, and a step without signals may be written any number of times.
    pub fn commit(&mut self, step: &Step<'_>) -> Result<Committed, CommitError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let stored = signals::next_number(&transaction)?;
        if stored != self.next_signal {
            self.next_signal = stored;
            return Ok(Committed {
                next_signal: stored,
                was_there: true,
            });
        }
        let next_signal = signals::append(&transaction, step.signals, step.now)?;
        streams::record(&transaction, step.positions, step.now)?;
        incidents::record(&transaction, step.incidents)?;
        for update in step.analyses {
            incidents::record_analysis(&transaction, &update.incident_id, &update.analysis)?;
        }
        nodes::record(&transaction, step.nodes, step.now)?;
        transaction.commit()?;
        self.next_signal = next_signal;
        Ok(Committed {
            next_signal,
            was_there: false,
        })
    }

    /// The connection itself, for tests that damage what is stored.
    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Merges small blocks, a bounded amount; true when there may be more.
    pub fn compact(&mut self, now: Timestamp) -> Result<bool, CommitError> {
        self.compaction.merge_next(&mut self.connection, now)
    }

    /// Removes what is past its time, a bounded amount.
    pub fn expire(
        &mut self,
        retention: &Retention,
        now: Timestamp,
    ) -> Result<Expired, CommitError> {
        retention::expire(&mut self.connection, retention, now)
    }
}
