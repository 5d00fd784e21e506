//! Has programs of the object look at every thread of the node, once for each call. Must not know what for.

use std::{
    io::{self, Read as _},
    sync::{Arc, PoisonError},
};

use aya::{
    Btf, Ebpf,
    programs::{Iter, ProgramError, links::LinkError},
};
use inquest_proto::v1::{ProbeStatus, probe_status};

use super::{Grounds, Programs, is_refusal, missing};
use crate::telemetry::ErrorChain;

/// Of the probe.
pub(super) const NAME: &str = "task_iter";
/// What cannot be told without it.
pub(super) const WITHOUT: &str =
    "which containers look stuck, and what threads do that never run while they are watched";

/// The programs: one tells the threads that may be stuck, the other takes up those of watched cgroups.
const SUSPECTS: &str = "suspect_threads";
const WATCHED: &str = "watched_threads";

/// Bytes that one walk may tell: what it finds beyond is left for the next one.
const MAX_BYTES: u64 = 256 * 1024;

/// A walk over all threads failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    /// The object holds no such program.
    #[error("the eBPF object has no program `{0}`")]
    NoProgram(&'static str),
    /// The type information that the walk is loaded by is not there.
    #[error("the kernel's type information cannot be read")]
    NoBtf,
    /// The kernel refused the program.
    #[error("failed to walk over all threads with program `{0}`")]
    Program(&'static str, #[source] ProgramError),
    /// The kernel granted no walk.
    #[error("failed to begin a walk over all threads")]
    Begin(#[source] LinkError),
    /// What it tells cannot be read.
    #[error("failed to read what a walk over all threads tells")]
    Read(#[source] io::Error),
}

/// The walks over all threads; their programs are loaded.
pub(crate) struct ThreadWalks(Programs);

/// Loads the programs, unless they are to stay off. Returns whether they are loaded, and how that went.
pub(super) fn load(grounds: &Grounds<'_>, ebpf: &mut Ebpf) -> (bool, ProbeStatus) {
    let mut status = missing(NAME, WITHOUT, grounds.config, "");
    if status.state() == probe_status::State::Disabled {
        return (false, status);
    }
    match try_load(ebpf, grounds.btf) {
        Ok(()) => {
            status.set_state(probe_status::State::Attached);
            "iter".clone_into(&mut status.hook);
            status.detail = grounds.privileges.shortfalls(NAME);
            (true, status)
        }
        Err(error) => {
            status.detail = if is_refusal(&error) {
                format!(
                    "the kernel refuses to load it: {}",
                    grounds.privileges.why_no_programs()
                )
            } else {
                ErrorChain(&error).to_string()
            };
            (false, status)
        }
    }
}

fn try_load(ebpf: &mut Ebpf, btf: Option<&Btf>) -> Result<(), WalkError> {
    let btf = btf.ok_or(WalkError::NoBtf)?;
    for name in [SUSPECTS, WATCHED] {
        let loaded = program(ebpf, name)?.load("task", btf);
        loaded.map_err(|error| WalkError::Program(name, error))?;
    }
    Ok(())
}

impl ThreadWalks {
    /// Returns the walks whose programs are loaded into `programs`.
    pub(super) fn new(programs: &Programs) -> Self {
        Self(Arc::clone(programs))
    }

    /// Returns records of the threads that may be stuck, one after the other.
    pub(crate) fn suspects(&self) -> Result<Vec<u8>, WalkError> {
        self.walk(SUSPECTS)
    }

    /// Takes up the threads of watched cgroups.
    pub(crate) fn take_up_watched(&self) -> Result<(), WalkError> {
        self.walk(WATCHED).map(drop)
    }

    /// Walks over all threads; returns what the program wrote.
    fn walk(&self, name: &'static str) -> Result<Vec<u8>, WalkError> {
        let file = {
            let mut ebpf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let program = program(&mut ebpf, name)?;
            let begun = program.attach().and_then(|link| program.take_link(link));
            let link = begun.map_err(|error| WalkError::Program(name, error))?;
            link.into_file().map_err(WalkError::Begin)?
        };
        let mut told = Vec::new();
        file.take(MAX_BYTES)
            .read_to_end(&mut told)
            .map_err(WalkError::Read)?;
        Ok(told)
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Iter, WalkError> {
    let program = ebpf.program_mut(name).ok_or(WalkError::NoProgram(name))?;
    program
        .try_into()
        .map_err(|error| WalkError::Program(name, error))
}
