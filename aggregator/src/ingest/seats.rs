//! One stream per agent: a newer one takes the seat of an older. Must not outlive its sessions.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

/// Most agents at a time; twice the largest cluster that Kubernetes supports.
pub(super) const MAX_SEATS: usize = 10_000;

/// The open streams by agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats {
    taken: Arc<Mutex<HashMap<String, Taken>>>,
    next_number: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Taken {
    number: u64,
    superseded: CancellationToken,
}

/// A place that is given up when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) number: u64,
    /// Cancelled when a newer stream of the same agent arrives.
    pub(super) superseded: CancellationToken,
    agent_id: String,
    seats: Seats,
}

impl Seats {
    /// Seats a stream and unseats the one before it; `None` when there is no room.
    pub(super) fn take(&self, agent_id: &str) -> Option<Seat> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let superseded = CancellationToken::new();
        let mut taken = self.lock();
        if taken.len() >= MAX_SEATS && !taken.contains_key(agent_id) {
            return None;
        }
        let now = Taken {
            number,
            superseded: superseded.clone(),
        };
        if let Some(before) = taken.insert(agent_id.to_owned(), now) {
            before.superseded.cancel();
        }
        drop(taken);
        Some(Seat {
            number,
            superseded,
            agent_id: agent_id.to_owned(),
            seats: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if taken
            .get(&self.agent_id)
            .is_some_and(|now| now.number == self.number)
        {
            taken.remove(&self.agent_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_stream_of_the_same_agent_takes_the_seat() {
        let seats = Seats::default();
        let first = seats.take("a1").unwrap();
        let other = seats.take("a2").unwrap();
        let second = seats.take("a1").unwrap();
        assert!(first.superseded.is_cancelled());
        assert!(!second.superseded.is_cancelled() && !other.superseded.is_cancelled());
        drop(first);
        assert_eq!(
            seats.lock().len(),
            2,
            "the seat now belongs to the newer stream"
        );
        drop((second, other));
        assert!(seats.lock().is_empty());
    }

    #[test]
    fn seats_are_bounded() {
        let seats = Seats::default();
        let taken: Vec<_> = (0..MAX_SEATS)
            .map(|n| seats.take(&n.to_string()).unwrap())
            .collect();
        assert!(seats.take("one more").is_none());
        assert!(
            seats.take("7").is_some(),
            "an agent that has a seat can take it over"
        );
        drop(taken);
    }
}
