//! Where the threads of watched cgroups spend their time, as the scheduler sees it. Kept in maps, not in records.

/// A kind of [`WaitReason`]. A number rather than an enum: a reader meets kinds it does not know.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct WaitKind(pub u32);

impl WaitKind {
    /// It runs.
    pub const ON_CPU: Self = Self(1);
    /// It could run, but no CPU is free, or its cgroup has used up its time.
    pub const RUN_QUEUE: Self = Self(2);
    /// It waits, and a signal would end that.
    pub const BLOCKED: Self = Self(3);
    /// It waits for something that no signal ends: a disk, mostly.
    pub const UNINTERRUPTIBLE: Self = Self(4);
    /// It was stopped, by a signal or a debugger.
    pub const STOPPED: Self = Self(5);
}

/// Why a thread is where it is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct WaitReason {
    /// What it does.
    pub kind: WaitKind,
    /// The number of the system call it is in, [`WaitReason::NO_SYSCALL`] when in none or not known.
    pub syscall: u32,
    /// 1 when that call is about a socket.
    pub on_socket: u32,
}

impl WaitReason {
    /// Not in a system call, or the kernel does not tell.
    pub const NO_SYSCALL: u32 = u32::MAX;

    /// Returns a reason that no system call is part of.
    pub const fn of(kind: WaitKind) -> Self {
        Self {
            kind,
            syscall: Self::NO_SYSCALL,
            on_socket: 0,
        }
    }
}

/// The other end of a socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WaitPeer {
    /// An IPv6 address, or an IPv4 one in the first four bytes.
    pub address: [u8; 16],
    /// In host order.
    pub port: u16,
    /// `AF_INET` or `AF_INET6`, 0 when there is no peer.
    pub family: u16,
    /// Always 0.
    pub reserved: u32,
}

impl WaitPeer {
    /// No peer.
    pub const NONE: Self = Self {
        address: [0; 16],
        port: 0,
        family: 0,
        reserved: 0,
    };
}

/// What one thread of a watched cgroup is doing now. Keyed by its id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ThreadWait {
    /// CLOCK_MONOTONIC ns since when.
    pub since_ktime_ns: u64,
    /// The cgroup that it is counted for.
    pub cgroup: u64,
    /// Its process.
    pub pid: u32,
    /// Why it is there.
    pub reason: WaitReason,
    /// Of `on_socket`.
    pub peer: WaitPeer,
}

/// By what time is added up.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WaitKey {
    /// The watched cgroup.
    pub cgroup: u64,
    /// The thread, 0 for all those that found no room for a total of their own.
    pub tid: u32,
    /// Why it was there.
    pub reason: WaitReason,
}

/// The time that one thread spent for one reason.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WaitTotal {
    /// All of it.
    pub total_ns: u64,
    /// The longest stay.
    pub longest_ns: u64,
    /// How often.
    pub stays: u64,
    /// Its process.
    pub pid: u32,
    /// Always 0.
    pub reserved: u32,
    /// In the longest stay.
    pub peer: WaitPeer,
}

/// A cgroup whose threads are watched. Keyed by its id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WatchedCgroup {
    /// CLOCK_MONOTONIC ns since when.
    pub since_ktime_ns: u64,
    /// Stays that found no room at all.
    pub overflows: u64,
}

/// A thread that has to be looked at again, as a walk over all threads tells it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SuspectThread {
    /// Its cgroup.
    pub cgroup: u64,
    /// How often it has given up a CPU: unchanged while it waits for the same thing.
    pub switches: u64,
    /// The arguments of its system call: of futex(2), the address, the operation and the expected value.
    pub arguments: [u64; 3],
    /// The thread.
    pub tid: u32,
    /// Its process.
    pub pid: u32,
    /// Why it waits.
    pub kind: WaitKind,
    /// The number of the system call, [`WaitReason::NO_SYSCALL`] when in none or not known.
    pub syscall: u32,
}

const _: () = assert!(size_of::<ThreadWait>() == 56);
const _: () = assert!(size_of::<WaitKey>() == 24);
const _: () = assert!(size_of::<WaitTotal>() == 56);
const _: () = assert!(size_of::<WatchedCgroup>() == 16);
const _: () = assert!(size_of::<SuspectThread>() == 56);
