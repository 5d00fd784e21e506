//! System calls that failed. Must not say which failures matter.

use super::Cgroup;
use crate::model::Timestamp;

/// The failed calls of one cgroup in a window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SyscallFailures {
    pub start: Timestamp,
    pub failures: Vec<SyscallFailure>,
}

/// How often one call failed in one way.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SyscallFailure {
    pub syscall: String,
    pub errno: String,
    pub count: u64,
}

/// An execve that failed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExecFailure {
    pub filename: String,
    pub errno: String,
    /// What the file's `#!` line or its ELF header names; empty when it could not be read.
    pub interpreter: String,
    /// Machine of its ELF header, for example `aarch64`; empty for others.
    pub machine: String,
    /// Equal failures since the last signal about them, this one included.
    pub count: u64,
    /// The agent read the file: an interpreter or machine that is empty is not there.
    pub file_read: bool,
}

/// A fork or clone failed for a limit of tasks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PidsLimitHit {
    /// The lowest ancestor at its limit.
    pub limiting: Option<Cgroup>,
    pub max: u64,
    pub current: u64,
    /// Failed forks in the window.
    pub count: u64,
    /// No cgroup was at its limit: a limit of the user or of the node was.
    pub not_cgroup: bool,
}
