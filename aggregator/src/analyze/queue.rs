//! Requests that wait for the provider, bounded. Must not hold two requests of one incident.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use inquest_api::time::Time;
use tokio::sync::Notify;

use super::facts::Facts;

/// Most requests that wait: an hour's default budget. At some 20 KiB each this bounds the memory too.
pub(crate) const QUEUE_CAPACITY: usize = 60;

/// One incident to explain.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) incident_id: String,
    pub(crate) facts: Facts,
    pub(crate) requested_at: Time,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pushed {
    Queued,
    /// It stands where an older request of the same incident stood.
    Replaced,
    /// It is not in the queue.
    Full,
}

/// First in, first out; the newest request of an incident keeps the place of the oldest.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<Request>>,
    pushed: Notify,
}

impl Queue {
    /// Adds or replaces a request; never waits.
    pub(crate) fn push(&self, request: Request) -> Pushed {
        let mut waiting = self.lock();
        let same = waiting
            .iter_mut()
            .find(|other| other.incident_id == request.incident_id);
        if let Some(older) = same {
            *older = request;
            return Pushed::Replaced;
        }
        if waiting.len() >= QUEUE_CAPACITY {
            return Pushed::Full;
        }
        waiting.push_back(request);
        drop(waiting);
        self.pushed.notify_one();
        Pushed::Queued
    }

    /// Waits for the oldest request. One reader only.
    pub(crate) async fn next(&self) -> Request {
        loop {
            if let Some(request) = self.pop() {
                return request;
            }
            self.pushed.notified().await;
        }
    }

    /// Whether a request of this incident waits.
    pub(crate) fn holds(&self, incident_id: &str) -> bool {
        self.lock()
            .iter()
            .any(|request| request.incident_id == incident_id)
    }

    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn pop(&self) -> Option<Request> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
