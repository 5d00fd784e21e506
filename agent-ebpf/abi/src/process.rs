//! How records name a process and its cgroups.

use crate::MAX_COMM;

/// A process, told by its thread group's leader.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Process {
    /// CLOCK_MONOTONIC ns at which it started, 0 when unknown.
    pub start_ktime_ns: u64,
    /// Thread group id in the first pid namespace.
    pub pid: u32,
    /// Thread group id in its own pid namespace, 0 when unknown.
    pub namespace_pid: u32,
    /// Thread group id of its parent, 0 when unknown.
    pub parent_pid: u32,
    /// 1 when it is process 1 of a pid namespace below the first.
    pub container_init: u32,
    /// Its name, ended by NUL.
    pub comm: [u8; MAX_COMM],
}

const _: () = assert!(size_of::<Process>() == 40);

/// The cgroups of a task. Ids are unique within one hierarchy only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CgroupIds {
    /// Of the cgroup that accounts its memory, 0 when unknown.
    pub memory: u64,
    /// Of its cgroup v2, 0 when unknown; the root's (1) on a node that uses v1 only.
    pub unified: u64,
    /// The hierarchy of `memory`: 0 is v2.
    pub memory_hierarchy: u32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<CgroupIds>() == 24);
