//! Up to where each agent process's batches are stored. Must change only in the transaction that
//! stores the batches themselves: that is what makes storing exactly once.

use inquest_engine::model::Timestamp;
use rusqlite::{Connection, params};

use super::column;

/// Most agent processes remembered per agent. An agent resends only what was not acked, which is of
/// its newest processes; older positions serve nobody.
pub(super) const MAX_STARTS_PER_AGENT: u32 = 64;

/// One agent process.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamKey {
    pub agent_id: String,
    pub start_id: u64,
}

/// How far a step brings one agent process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Position {
    pub key: StreamKey,
    /// Highest contiguous sequence stored, this step included.
    pub sequence: u64,
}

/// Moves these agent processes to where a step brings them.
pub(super) fn record(
    connection: &Connection,
    positions: &[Position],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO stream (agent_id, start_id, stored_sequence, updated_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET stored_sequence = excluded.stored_sequence, updated_at = excluded.updated_at",
    )?;
    for Position { key, sequence } in positions {
        statement.execute(params![
            key.agent_id,
            key.start_id.cast_signed(),
            sequence.cast_signed(),
            column(now)
        ])?;
    }
    Ok(())
}

/// All remembered positions, the least recently moved first.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Position>> {
    let mut statement = connection
        .prepare("SELECT agent_id, start_id, stored_sequence FROM stream ORDER BY updated_at")?;
    let rows = statement.query_map([], |row| {
        Ok(Position {
            key: StreamKey {
                agent_id: row.get(0)?,
                start_id: row.get::<_, i64>(1)?.cast_unsigned(),
            },
            sequence: row.get::<_, i64>(2)?.cast_unsigned(),
        })
    })?;
    rows.collect()
}

/// Forgets all but the newest processes of each agent.
pub(super) fn forget_oldest(connection: &Connection) -> rusqlite::Result<usize> {
    connection.execute(
        "DELETE FROM stream WHERE (agent_id, start_id) IN (
             SELECT agent_id, start_id FROM (
                 SELECT agent_id, start_id,
                        row_number() OVER (PARTITION BY agent_id ORDER BY updated_at DESC) AS age
                 FROM stream)
             WHERE age > ?1)",
        [MAX_STARTS_PER_AGENT],
    )
}
