//! The check of where threads spend their time: found without being asked for.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use inquest_proto::v1::{signal::Body, wait_share::State};
use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

use super::check::{Check, Place};

/// Threads that wait for the lock.
const WAITERS: u32 = 3;
/// How long the lock is kept: until it looks stuck, and for a window, twice over.
const KEPT: Timespec = Timespec {
    tv_sec: 16,
    tv_nsec: 0,
};

pub(super) const CHECK: Check = Check {
    name: "wait_profile",
    probe: Some("task_iter"),
    expects: "threads that queue for a lock that one of them keeps",
    place: Place::CGROUP,
    act: |_| {
        let lock = Arc::new(Mutex::new(()));
        let _kept = lock.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..WAITERS {
            let lock = Arc::clone(&lock);
            std::thread::spawn(move || drop(lock.lock()));
        }
        if let NanosleepRelativeResult::Err(error) = nanosleep(&KEPT) {
            return Err(error).context("failed to wait");
        }
        // The end of the process is that of the waiters, too.
        Ok(())
    },
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::WaitProfile(profile)) => {
            let is_largest = profile.shares.first().is_some_and(|share| {
                share.state() == State::Futex
                    && share.threads >= WAITERS
                    && share
                        .thread
                        .as_ref()
                        .is_some_and(|thread| thread.parent_pid == deed.pid)
            });
            deed.is_home(signal) && is_largest
        }
        _ => false,
    },
};
