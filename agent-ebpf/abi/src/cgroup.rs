//! The records of a new cgroup and of one that is gone.

use crate::{MAX_CGROUP_PATH, RecordHeader};

/// A cgroup was created in the memory controller's hierarchy or in v2.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CgroupCreated {
    /// Of kind `CGROUP_CREATED`.
    pub header: RecordHeader,
    /// Unique within its hierarchy.
    pub id: u64,
    /// 0 is v2.
    pub hierarchy: u32,
    /// Always 0.
    pub reserved: u32,
    /// From the hierarchy's root, ended by NUL.
    pub path: [u8; MAX_CGROUP_PATH],
}

const _: () = assert!(size_of::<CgroupCreated>() == 544);

/// A cgroup was removed from the memory controller's hierarchy or from v2. Its path is known from its creation.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CgroupRemoved {
    /// Of kind `CGROUP_REMOVED`.
    pub header: RecordHeader,
    /// Unique within its hierarchy, and never used again.
    pub id: u64,
    /// 0 is v2.
    pub hierarchy: u32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<CgroupRemoved>() == 32);
