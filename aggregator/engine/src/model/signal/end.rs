//! How processes end: exit, the signal that ended them, and what failed just before. Must not say why.

use super::{Cgroup, Process, SocketAddress};

/// The last thread of a process ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProcessExit {
    /// exit(2) status, 0 when a signal ended it.
    pub code: u32,
    /// 0 for none.
    pub signal: u32,
    pub core_dumped: bool,
    /// What failed in its cgroup before, oldest first.
    pub last_words: Vec<FailedCall>,
    /// Failed calls of interest that were overwritten before the end.
    pub last_words_dropped: u64,
    /// Files that a container's init executed, oldest first.
    pub exec_chain: Vec<String>,
}

/// One failed system call of interest with its argument; what is not known is empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FailedCall {
    pub ktime_ns: u64,
    pub pid: u32,
    pub comm: String,
    /// Name as in syscalls(2).
    pub syscall: String,
    /// Name as in errno(3).
    pub errno: String,
    /// As the program gave it; relative paths stay relative.
    pub path: String,
    pub address: Option<SocketAddress>,
    /// "major:minor" of the file system that the call was about.
    pub device: String,
    /// Where that file system is mounted for the process.
    pub mount_point: String,
}

/// Who sent a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignalOrigin {
    Kernel,
    User,
    Fault,
    Unknown,
}

/// What the sender of a signal is to its target.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SenderClass {
    Kernel,
    Itself,
    Parent,
    /// Another process of the same container or cgroup.
    Sibling,
    /// A process of another container of the same pod.
    Pod,
    Kubelet,
    /// The container runtime, its shims and helpers.
    Runtime,
    /// systemd or another init of the node.
    Init,
    /// Any other process of the node outside containers.
    Host,
    /// A process of a container of another pod.
    OtherContainer,
    #[default]
    Unknown,
}

/// A signal that ended its target.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FatalSignal {
    pub signal: u32,
    /// `si_code` as in sigaction(2).
    pub code: i32,
    pub origin: SignalOrigin,
    pub sender: Option<Process>,
    pub sender_cgroup: Option<Cgroup>,
    pub sender_class: SenderClass,
    pub fault_address: Option<u64>,
}
