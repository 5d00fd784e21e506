//! Puts the programs at the returns of functions on and takes them off, on a thread of its own: the kernel takes a tenth
//! of a second for each that it lets go. Must not decide when.

use std::{
    os::fd::OwnedFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tracing::warn;

use super::ReturnPrograms;
use crate::{probes::attach::AttachError, telemetry::ErrorChain};

/// Programs that are on or off, or on their way there. They are taken off when it is dropped.
#[derive(Debug)]
pub(in crate::probes) struct ReturnSwitch {
    programs: ReturnPrograms,
    wish: Arc<Wish>,
}

/// How the programs are to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    On,
    Off,
    /// Off, and never on again.
    Gone,
}

/// What a switch asks of its thread: the last word counts.
#[derive(Debug)]
struct Wish {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

impl ReturnSwitch {
    /// Returns a switch that is on: `links` hold all of `programs`.
    pub(super) fn new(programs: ReturnPrograms, links: Vec<OwnedFd>) -> Result<Self, AttachError> {
        let wish = Arc::new(Wish {
            wanted: Mutex::new(Wanted::On),
            changed: Condvar::new(),
        });
        let attached = Attached {
            programs: programs.clone(),
            links,
        };
        let told = Arc::clone(&wish);
        thread::Builder::new()
            .name("returns".to_owned())
            .spawn(move || attached.follow(&told))
            .map_err(AttachError::Thread)?;
        Ok(Self { programs, wish })
    }

    /// Asks for the programs to be on, or off.
    pub(in crate::probes) fn turn(&self, on: bool) {
        self.wish.set(if on { Wanted::On } else { Wanted::Off });
    }

    /// Returns the programs, on or off.
    pub(in crate::probes) fn programs(&self) -> &ReturnPrograms {
        &self.programs
    }
}

impl Drop for ReturnSwitch {
    fn drop(&mut self) {
        self.wish.set(Wanted::Gone);
    }
}

impl Wish {
    fn set(&self, wanted: Wanted) {
        *self.lock() = wanted;
        self.changed.notify_one();
    }

    fn get(&self) -> Wanted {
        *self.lock()
    }

    /// Waits until something other than `wanted` is.
    fn wait_while(&self, wanted: Wanted) {
        let changed = self.changed.wait_while(self.lock(), |now| *now == wanted);
        drop(changed.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's: the links hold the first of the programs, as many as there are.
struct Attached {
    programs: ReturnPrograms,
    links: Vec<OwnedFd>,
}

impl Attached {
    /// Goes one step at a time to what is wanted, which may change on the way.
    fn follow(mut self, wish: &Wish) {
        loop {
            let wanted = wish.get();
            let is_there = match wanted {
                Wanted::On => !self.attach_next(),
                Wanted::Off | Wanted::Gone => self.links.pop().is_none(),
            };
            if is_there && wanted == Wanted::Gone {
                return;
            }
            if is_there {
                wish.wait_while(wanted);
            }
        }
    }

    /// Returns whether there was one more that could be attached.
    fn attach_next(&mut self) -> bool {
        let Some(program) = self.programs.0.get(self.links.len()) else {
            return false;
        };
        match program.attach() {
            Ok(link) => {
                self.links.push(link);
                true
            }
            Err(error) => {
                warn!(error = %ErrorChain(&error), "calls are not watched any more");
                false
            }
        }
    }
}
