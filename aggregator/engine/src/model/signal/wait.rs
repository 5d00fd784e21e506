//! Where threads spend their time. Must not say which share is too much.

use super::{Process, SocketAddress};
use crate::model::Timestamp;

/// Where the threads of one cgroup spent a window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WaitProfile {
    pub start: Timestamp,
    /// Sum over all its threads.
    pub thread_time_ns: u64,
    pub shares: Vec<WaitShare>,
    /// Nobody asked for it: a thread had waited for seconds, uninterruptibly or for what looks like a
    /// contended mutex.
    pub looked_stuck: bool,
    /// Mutexes that were waited for, those with most waiters first.
    pub locks: Vec<ContendedLock>,
}

/// A mutex that somebody held while others waited for it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContendedLock {
    /// Whose threads wait; absent when that is not known.
    pub process: Option<Process>,
    /// Of the mutex, in that process.
    pub address: u64,
    /// Most threads that waited for it at once.
    pub waiters: u32,
    /// A thread that waited for it went on, and waits for it again.
    pub passed: bool,
    /// Most threads of the same process that waited in futex(2) at once for what looks like no mutex. One of
    /// them may be a worker without work that holds it.
    pub other_waiters: u32,
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum WaitState {
    OnCpu,
    /// Runnable, but no CPU was free.
    RunQueue,
    /// In futex(2).
    Futex,
    /// Uninterruptible, for a block device or a network file system.
    Disk,
    /// In a call on a socket.
    Socket,
    /// In a sleep, or a poll or wait without a socket.
    Sleep,
    Other,
    #[default]
    Unknown,
}

/// The part of the threads' time spent in one state.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WaitShare {
    pub state: WaitState,
    /// Thousandths of `thread_time_ns`.
    pub permille: u32,
    /// The longest single stay.
    pub longest_ns: u64,
    /// Of `Socket`: whom most of that time was waited for.
    pub peer: Option<SocketAddress>,
    /// Who spent most of that time.
    pub thread: Option<Process>,
    /// The system call in which most of it was spent; empty when on a CPU.
    pub syscall: String,
    /// Threads in that state when looked at last.
    pub threads: u32,
}
