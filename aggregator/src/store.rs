//! The embedded store: one SQLite file with signals in compressed blocks, incidents, nodes and stream
//! positions. One writer, owned by the pipeline; readers on connections of their own. Must not judge
//! what it keeps.

use std::path::{Path, PathBuf};

use inquest_engine::model::Timestamp;

mod block;
mod compaction;
pub mod incidents;
pub mod nodes;
pub mod reader;
mod retention;
mod schema;
pub mod signals;
mod streams;
mod writer;

pub use block::MAX_SIGNAL_BYTES;
pub use reader::{ReadPool, Reading};
pub use retention::Expired;
pub use schema::SCHEMA_VERSION;
pub use streams::{Position, StreamKey};
pub use writer::{AnalysisUpdate, Committed, RestoreWindow, Restored, Step, Writer};

/// Name of the store's file in the state directory.
const FILE_NAME: &str = "inquest.db";

/// Where the store of a state directory lives.
pub fn file_in(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE_NAME)
}

/// A store that cannot be used, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("failed to open store `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "failed to open store `{path}`: its schema is version {found}, this aggregator knows up to \
         {SCHEMA_VERSION}; start the newer aggregator again, or give another state_dir"
    )]
    Newer { path: PathBuf, found: u32 },
    #[error(
        "failed to open store `{path}`: the file is damaged ({detail}); restore it from a backup, or \
         move it away to begin an empty one (it is never deleted for you)"
    )]
    Damaged { path: PathBuf, detail: String },
    #[error("failed to bring store `{path}` from schema version {from} to {SCHEMA_VERSION}")]
    Migrate {
        path: PathBuf,
        from: u32,
        #[source]
        source: rusqlite::Error,
    },
}

/// A write that did not go through; nothing of it is in the store.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("failed to write to the store")]
    Sql(#[from] rusqlite::Error),
    #[error("failed to write {what} as JSON")]
    Json {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("failed to compress signals")]
    Compress(#[source] std::io::Error),
}

/// A read that gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("failed to read from the store")]
    Sql(#[from] rusqlite::Error),
    #[error("failed to understand {what} in the store")]
    Json {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("failed to read from the store: no answer within {} s", reader::READ_DEADLINE.as_secs())]
    Slow,
    #[error("failed to read from the store: the reader ended early")]
    Gone,
}

/// The store's clock column: nanoseconds as SQLite keeps integers.
fn column(at: Timestamp) -> i64 {
    at.as_nanos()
}

#[cfg(test)]
mod tests;
