//! What every record starts with.

/// The start of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordHeader {
    /// Tells what the record is.
    pub kind: RecordKind,
    /// Always 0.
    pub reserved: u32,
    /// CLOCK_MONOTONIC when the probe ran, in ns.
    pub ktime_ns: u64,
}

const _: () = assert!(size_of::<RecordHeader>() == 16);

/// Tells what a record is. A number rather than an enum: a reader meets kinds it does not know.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordKind(pub u32);

impl RecordKind {
    /// An [`crate::OomKill`].
    pub const OOM_KILL: Self = Self(1);
    /// A [`crate::ProcessExit`].
    pub const PROCESS_EXIT: Self = Self(2);
    /// A [`crate::ProcessExec`].
    pub const PROCESS_EXEC: Self = Self(3);
    /// A [`crate::CgroupCreated`].
    pub const CGROUP_CREATED: Self = Self(4);
    /// A [`crate::CgroupRemoved`].
    pub const CGROUP_REMOVED: Self = Self(5);
    /// An [`crate::ExecFailed`].
    pub const EXEC_FAILED: Self = Self(6);

    /// A [`crate::DnsMessage`].
    pub const DNS_MESSAGE: Self = Self(7);

    /// How many kinds there are, 0 (never written) included.
    pub const COUNT: u32 = 8;
}
