//! The record of a process's end.

use crate::{CgroupIds, Process, RecordHeader, SignalOrigin};

/// The last thread of a process ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProcessExit {
    /// Of kind `PROCESS_EXIT`.
    pub header: RecordHeader,
    /// Who ended.
    pub process: Process,
    /// Where it ran.
    pub cgroups: CgroupIds,
    /// As wait(2) tells it: the exit status in bits 8 to 15, the signal in bits 0 to 6, bit 7 for a core dump.
    pub wait_status: u32,
    /// Always 0.
    pub reserved: u32,
    /// Of the signal that ended it.
    pub origin: SignalOrigin,
}

const _: () = assert!(size_of::<ProcessExit>() == 200);
