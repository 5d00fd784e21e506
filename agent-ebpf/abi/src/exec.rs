//! The record of an execution.

use crate::{CgroupIds, MAX_FILENAME, Process, RecordHeader};

/// A process executed a file.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProcessExec {
    /// Of kind `PROCESS_EXEC`.
    pub header: RecordHeader,
    /// Who executed it, under its new name.
    pub process: Process,
    /// Where it runs.
    pub cgroups: CgroupIds,
    /// Inode of its network namespace, 0 when it is not known.
    pub netns: u32,
    /// Always 0.
    pub reserved: u32,
    /// As given to execve, ended by NUL.
    pub filename: [u8; MAX_FILENAME],
}

const _: () = assert!(size_of::<ProcessExec>() == 344);
