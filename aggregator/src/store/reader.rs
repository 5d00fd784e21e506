//! Reads without holding up the writer: a few connections, each query on a thread that may block, with
//! a deadline. Must not write.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, InterruptHandle};
use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};

use super::{OpenError, ReadError, schema};

/// Connections that read at the same time; the machine's cores, not these, are what is scarce.
const CONNECTIONS: usize = 2;
/// A query that runs longer is cancelled: a pinned reader would keep the write-ahead log from being cut.
pub const READ_DEADLINE: Duration = Duration::from_secs(10);

/// What a query is run on.
pub type Reading<'a> = &'a Connection;

/// Connections for reading; cheap to clone.
#[derive(Clone, Debug)]
pub struct ReadPool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl ReadPool {
    /// Opens connections to the store that `Writer::open` has made ready.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let connect = |_| schema::open_reader(path);
        let idle = (0..CONNECTIONS)
            .map(connect)
            .collect::<rusqlite::Result<_>>()
            .map_err(|source| OpenError::Open {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self(Arc::new(Pool {
            path: path.to_owned(),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            idle: Mutex::new(idle),
        })))
    }

    /// The store's file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Runs one query.
    pub async fn read<T, F>(&self, query: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(Reading<'_>) -> Result<T, ReadError> + Send + 'static,
    {
        let permits = Arc::clone(&self.0.permits);
        let waited = tokio::time::timeout(READ_DEADLINE, permits.acquire_owned());
        let permit = match waited.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_closed)) => return Err(ReadError::Gone),
            Err(_elapsed) => return Err(ReadError::Slow),
        };
        let connection = self.0.take()?;
        let handle = connection.get_interrupt_handle();
        let pool = Arc::clone(&self.0);
        let run = spawn_blocking(move || {
            let answer = in_one_snapshot(&connection, query);
            pool.give_back(connection);
            drop(permit);
            answer
        });
        finish(run, handle).await
    }
}

/// Whatever is committed meanwhile, all statements of one query see the same state.
fn in_one_snapshot<T>(
    connection: &Connection,
    query: impl FnOnce(Reading<'_>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let transaction = connection.unchecked_transaction()?;
    query(&transaction)
}

async fn finish<T>(
    mut run: tokio::task::JoinHandle<Result<T, ReadError>>,
    handle: InterruptHandle,
) -> Result<T, ReadError> {
    let ended = |joined: Result<_, JoinError>| joined.unwrap_or(Err(ReadError::Gone));
    match tokio::time::timeout(READ_DEADLINE, &mut run).await {
        Ok(joined) => ended(joined),
        Err(_elapsed) => {
            handle.interrupt();
            // The statement ends within milliseconds of the interrupt, with an answer or an error.
            ended(run.await).map_err(|_interrupted| ReadError::Slow)
        }
    }
}

impl Pool {
    fn take(&self) -> Result<Connection, ReadError> {
        let idle = self.lock().pop();
        match idle {
            Some(connection) => Ok(connection),
            // A query that panicked took its connection with it.
            None => Ok(schema::open_reader(&self.path)?),
        }
    }

    fn give_back(&self, connection: Connection) {
        self.lock().push(connection);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
