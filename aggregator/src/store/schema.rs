//! Opens the file, checks it and brings its schema up to date. Must never delete or overwrite a file
//! that it does not understand.

use std::{
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode as Sqlite, OpenFlags, ffi};
use tracing::{info, warn};

use super::OpenError;

/// Version of the newest schema, kept in the file's `user_version`.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// Statements that lead from version N to N + 1. Never edited once released; only added to.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE signal_block (
        first_number     INTEGER PRIMARY KEY,  -- signals are numbered in the order in which they were stored
        count            INTEGER NOT NULL,
        stored_at        INTEGER NOT NULL,     -- ns, the aggregator's clock; of the newest signal
        min_observed_at  INTEGER NOT NULL,     -- ns, the agents' clocks
        max_observed_at  INTEGER NOT NULL,
        kinds            INTEGER NOT NULL,     -- one bit per signal kind
        nodes            INTEGER NOT NULL,     -- one bit per hash of a node name
        payload          BLOB NOT NULL         -- zlib of length-delimited inquest.v1.Signal
    ) STRICT;
    CREATE TABLE stream (
        agent_id         TEXT NOT NULL,
        start_id         INTEGER NOT NULL,
        stored_sequence  INTEGER NOT NULL,
        updated_at       INTEGER NOT NULL,
        PRIMARY KEY (agent_id, start_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE incident (
        id               TEXT PRIMARY KEY,
        state            TEXT NOT NULL,
        cause            TEXT NOT NULL,
        node             TEXT NOT NULL,
        opened_at        INTEGER NOT NULL,
        last_seen_at     INTEGER NOT NULL,
        incident         TEXT NOT NULL,        -- JSON as the REST API gives it, without `analysis`
        analysis         TEXT                  -- JSON; NULL when no model was asked
    ) STRICT;
    CREATE INDEX incident_by_age ON incident (opened_at, id);
    CREATE TABLE incident_alias (
        alias            TEXT NOT NULL,
        incident_id      TEXT NOT NULL,
        PRIMARY KEY (alias, incident_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX incident_alias_by_incident ON incident_alias (incident_id);
    CREATE TABLE node (
        name             TEXT PRIMARY KEY,
        node             TEXT NOT NULL,        -- JSON as the REST API gives it
        updated_at       INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
"];

/// Page cache of one connection, in KiB as the pragma wants it (negative). Blocks are read once and
/// decoded, so that a larger cache buys nothing.
const CACHE_KIB: i64 = -2048;
/// A write-ahead log that grew under a burst is cut back to this.
const MAX_WAL_BYTES: i64 = 16 << 20;
/// How long a connection waits for another one's lock; the only writer is the pipeline.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the check of the file at start may take; a large store is then used unchecked.
const CHECK_DEADLINE: Duration = Duration::from_secs(3);

/// Opens the writer's connection; makes the file when there is none.
pub(super) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |source| open_error(path, source);
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let found = version(&connection).map_err(failed)?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
        });
    }
    set_up(&connection).map_err(failed)?;
    if found > 0 {
        check(&connection, path)?;
    }
    migrate(&mut connection, found).map_err(|source| OpenError::Migrate {
        path: path.to_owned(),
        from: found,
        source,
    })?;
    Ok(connection)
}

/// Opens a connection that cannot write.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    // Has an effect on a new file only, and only before the journal mode is set.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // An ack promises that the commit survives a power cut: sync the log at each commit.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", MAX_WAL_BYTES)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(connection: &mut Connection, from: u32) -> rusqlite::Result<()> {
    if from == SCHEMA_VERSION {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for statements in MIGRATIONS.iter().skip(from as usize) {
        transaction.execute_batch(statements)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    info!(from, to = SCHEMA_VERSION, "store schema brought up to date");
    Ok(())
}

/// Looks for damage, for a bounded time.
fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let handle = connection.get_interrupt_handle();
    let (done, is_done) = channel::<()>();
    let found = std::thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(CHECK_DEADLINE) == Err(RecvTimeoutError::Timeout) {
                handle.interrupt();
            }
        });
        // The first complaint is enough to tell.
        let found =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        drop(done);
        found
    });
    match found {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(detail) => Err(OpenError::Damaged {
            path: path.to_owned(),
            detail: detail.replace('\n', " "),
        }),
        Err(error) if error.sqlite_error_code() == Some(Sqlite::OperationInterrupted) => {
            warn!(
                path = %path.display(),
                deadline_seconds = CHECK_DEADLINE.as_secs(),
                "store is too large to be checked for damage at start; used unchecked"
            );
            Ok(())
        }
        Err(error) => Err(open_error(path, error)),
    }
}

fn open_error(path: &Path, source: rusqlite::Error) -> OpenError {
    match source.sqlite_error_code() {
        Some(Sqlite::DatabaseCorrupt | Sqlite::NotADatabase) => OpenError::Damaged {
            path: path.to_owned(),
            detail: match source.sqlite_error() {
                Some(ffi::Error { extended_code, .. }) => {
                    ffi::code_to_str(*extended_code).to_owned()
                }
                None => source.to_string(),
            },
        },
        _ => OpenError::Open {
            path: path.to_owned(),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_the_newest_schema_and_opens_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.db");
        for _ in 0..2 {
            let connection = open_writer(&path).unwrap();
            assert_eq!(version(&connection).unwrap(), SCHEMA_VERSION);
            let vacuum: i64 = connection
                .pragma_query_value(None, "auto_vacuum", |row| row.get(0))
                .unwrap();
            assert_eq!(vacuum, 2, "incremental");
        }
    }

    #[test]
    fn refuses_a_newer_schema_and_leaves_the_file_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let error = open_writer(&path).unwrap_err();
        assert!(
            matches!(error, OpenError::Newer { found: 99, .. }),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn names_a_damaged_file_and_leaves_it_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.db");
        drop(open_writer(&path).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        for byte in bytes.iter_mut().skip(100) {
            *byte = 0xA5;
        }
        std::fs::write(&path, &bytes).unwrap();
        let error = open_writer(&path).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("s.db"), "{error}");

        std::fs::write(
            &path,
            b"this is no database, it is a note to myself, of some length",
        )
        .unwrap();
        let error = open_writer(&path).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    }

    #[test]
    fn a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.db");
        let _writer = open_writer(&path).unwrap();
        let reader = open_reader(&path).unwrap();
        reader.execute("DELETE FROM stream", []).unwrap_err();
    }
}
