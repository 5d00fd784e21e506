//! The spool as its two users share it: intake appends, the stream reads and settles; must not be
//! held across a wait.

use std::sync::{Arc, Mutex, PoisonError};

use inquest_proto::v1;
use tokio::sync::Notify;

use super::Spool;

/// A handle to the one spool of a process.
///
/// Its lock is held for single operations, each at most a few small reads and writes of files.
#[derive(Clone, Debug)]
pub struct SharedSpool {
    spool: Arc<Mutex<Spool>>,
    appended: Arc<Notify>,
}

impl SharedSpool {
    /// Shares a spool.
    pub fn new(spool: Spool) -> Self {
        Self {
            spool: Arc::new(Mutex::new(spool)),
            appended: Arc::new(Notify::new()),
        }
    }

    /// Runs one operation on the spool.
    pub fn with<T>(&self, operation: impl FnOnce(&mut Spool) -> T) -> T {
        // A panic while the lock was held leaves a spool that is still consistent with its files.
        operation(&mut self.spool.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Appends a batch and wakes the stream.
    pub fn append(&self, batch: v1::SignalBatch) {
        self.with(|spool| spool.append(batch));
        self.appended.notify_one();
    }

    /// Waits until something was appended since the last wait.
    pub async fn appended(&self) {
        self.appended.notified().await;
    }
}
