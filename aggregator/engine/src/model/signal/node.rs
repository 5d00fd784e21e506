//! What the node itself did or suffered. Must not blame a container.

/// A line of the kernel's log or a jump of the clock.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeEvent {
    pub kind: NodeEventKind,
    /// The kernel's own words.
    pub text: String,
    /// Name of the pattern that matched, from `docs/signals.md`.
    pub pattern: String,
    /// Device, interface or file system concerned.
    pub device: String,
    /// Of a clock step: forwards is positive.
    pub step_ns: i64,
    pub count: u64,
}

/// What kind of node event.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum NodeEventKind {
    HungTask,
    SoftLockup,
    RcuStall,
    Oops,
    FilesystemError,
    FilesystemReadOnly,
    MachineCheck,
    NicReset,
    ClockStep,
    /// A line of the table of known patterns that no other kind stands for.
    KernelLog,
    ConntrackFull,
    #[default]
    Unknown,
}

/// A process that the node's containers need ended; the subject is that process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DaemonExit {
    pub role: DaemonRole,
    pub code: u32,
    /// 0 for none.
    pub signal: u32,
}

/// What a daemon is for.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum DaemonRole {
    Kubelet,
    Runtime,
    Shim,
    Proxy,
    Dns,
    #[default]
    Unknown,
}
