//! How failed system calls are counted and remembered, and what the agent says is of interest.

use crate::{
    CgroupIds, Generation, MAX_COMM, MAX_FILENAME, MAX_PIDS_LEVELS, Process, RecordHeader,
    Requirement,
};

/// System calls told apart; Linux has some 470. What is above is counted as one.
pub const MAX_CALLS: usize = 512;

/// Errors told apart; Linux has 133.
pub const MAX_ERRNO: usize = 192;

/// Words of 64 bits that hold a bit for each error.
const ERRNO_WORDS: usize = MAX_ERRNO / 64;

/// The number under which calls of [`MAX_CALLS`] and above are counted.
pub const UNKNOWN_CALL: u32 = MAX_CALLS as u32;

/// The number under which calls of 32-bit programs are counted: they have other numbers.
pub const COMPAT_CALL: u32 = MAX_CALLS as u32 + 1;

/// Counts of failures that are kept at once, those of both generations: 500 containers with
/// eight ways to fail. An entry takes some 70 bytes and 8 more for each CPU.
pub const FAILURE_COUNTS: u32 = 8192;

/// Cgroups whose last words are kept: the pods that a node may have (110), a few containers in each, those that ended just
/// now, and room for the next. 6.2 MiB of a budget of 96.
pub const LAST_WORDS: u32 = 576;

/// Calls that each of them holds.
pub const MAX_LAST_WORDS: usize = 64;

/// Bytes of a path or address in a failed call.
pub const MAX_ARGUMENT: usize = 128;

/// Calls of interest at most. Each has a place of its own on each CPU where its failures are put together, some 200 bytes:
/// where there is a program for each call, one may interrupt another.
pub const MAX_CALLS_OF_INTEREST: usize = 128;

/// Calls that make a task, which have the first of these places.
pub const MAX_FORK_CALLS: usize = 4;

/// Cgroups whose refused forks are counted at once; few are at their limit of tasks at a time.
pub const REFUSED_FORKS: u32 = 256;

/// What a call is about, as the argument of its failure tells. A number rather than an enum: it is a byte of a map.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Argument(pub u8);

impl Argument {
    /// The call is of no interest.
    pub const UNINTERESTING: Self = Self(0);
    /// None of the arguments says anything.
    pub const NONE: Self = Self(1);
    /// The first argument is a path.
    pub const PATH_FIRST: Self = Self(2);
    /// The second argument is a path.
    pub const PATH_SECOND: Self = Self(3);
    /// The second argument is a socket address, the third its length.
    pub const ADDRESS_SECOND: Self = Self(4);
    /// The fifth argument is a socket address, the sixth its length.
    pub const ADDRESS_FIFTH: Self = Self(5);
    /// The first argument is an open file.
    pub const FILE: Self = Self(6);
    /// The first argument is the path of a file to execute.
    pub const EXEC_FIRST: Self = Self(7);
    /// The second argument is the path of a file to execute.
    pub const EXEC_SECOND: Self = Self(8);
    /// It makes a task.
    pub const FORK: Self = Self(9);
}

/// A bit for each error.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Errnos(pub [u64; ERRNO_WORDS]);

impl Errnos {
    /// None of them.
    pub const NONE: Self = Self([0; ERRNO_WORDS]);

    /// Adds or removes `errno`; one that is not told apart is left alone.
    pub fn set(&mut self, errno: u32, member: bool) {
        if let Some(word) = self.0.get_mut(errno as usize / 64) {
            let bit = 1 << (errno % 64);
            *word = if member { *word | bit } else { *word & !bit };
        }
    }

    /// Returns whether `errno` is among them.
    pub fn contains(&self, errno: u32) -> bool {
        let word = self.0.get(errno as usize / 64);
        word.is_some_and(|word| word >> (errno % 64) & 1 == 1)
    }
}

/// What the programs are to make of a failed call, set before they are loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SyscallPolicy {
    /// By call, the errors that are neither counted nor remembered.
    pub ignored: [Errnos; MAX_CALLS],
    /// The errors that are remembered as last words, of calls of interest.
    pub remembered: Errnos,
    /// By call, what it is about.
    pub arguments: [Argument; MAX_CALLS],
    /// By call of interest, its place below [`MAX_CALLS_OF_INTEREST`].
    pub places: [u8; MAX_CALLS],
    /// By call, the capability that decides on it; for kernels that do not tell which one they ask for.
    pub required: [Requirement; MAX_CALLS],
}

impl SyscallPolicy {
    /// Ignores and remembers nothing.
    pub const NONE: Self = Self {
        ignored: [Errnos::NONE; MAX_CALLS],
        remembered: Errnos::NONE,
        arguments: [Argument::UNINTERESTING; MAX_CALLS],
        places: [0; MAX_CALLS],
        required: [Requirement::NONE; MAX_CALLS],
    };
}

const _: () = assert!(size_of::<SyscallPolicy>() == 24 * (MAX_CALLS + 1) + 4 * MAX_CALLS);

/// What failures are counted by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FailureKey {
    /// The id that names the caller's cgroup on this node.
    pub cgroup: u64,
    /// Number of the call, [`UNKNOWN_CALL`] or [`COMPAT_CALL`].
    pub call: u32,
    /// Positive.
    pub errno: u16,
    /// See [`Generation`].
    pub generation: u16,
}

impl Generation for FailureKey {
    fn generation(&self) -> u32 {
        self.generation.into()
    }
}

const _: () = assert!(size_of::<FailureKey>() == 16);

/// One failed call of interest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FailedCall {
    /// Its number among those of its cgroup, from 1; 0 where none was written yet.
    pub sequence: u64,
    /// CLOCK_MONOTONIC when it returned.
    pub ktime_ns: u64,
    /// Process that called.
    pub pid: u32,
    /// Number of the call.
    pub call: u32,
    /// Positive.
    pub errno: u16,
    /// Of an open file: 1 when `argument` is the whole way.
    pub argument_whole: u8,
    /// What `argument` and `device` are.
    pub kind: Argument,
    /// Of an open file: the device of its file system, as the kernel keeps it; 0 when unknown.
    pub device: u32,
    /// Name of the thread that called, ended by NUL.
    pub comm: [u8; MAX_COMM],
    /// A path ended by NUL; or a socket address, of which its family tells the length; or of an open file the names from
    /// where its file system is mounted up to the root, each ended by NUL, the last by two.
    pub argument: [u8; MAX_ARGUMENT],
}

const _: () = assert!(size_of::<FailedCall>() == 48 + MAX_ARGUMENT);

/// The last failed calls of interest of one cgroup.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LastWords {
    /// How many there were; call `n` (from 0) is at `n % MAX_LAST_WORDS`. Of two that failed in the same instant on
    /// different CPUs one may have been overwritten: it is counted here all the same.
    pub written: u64,
    /// In no order but that of `sequence`.
    pub calls: [FailedCall; MAX_LAST_WORDS],
}

const _: () = assert!(size_of::<LastWords>() == 8 + MAX_LAST_WORDS * size_of::<FailedCall>());

/// An execve that failed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExecFailed {
    /// Of kind `EXEC_FAILED`.
    pub header: RecordHeader,
    /// Who tried.
    pub process: Process,
    /// Where it runs.
    pub cgroups: CgroupIds,
    /// Positive.
    pub errno: u32,
    /// Inode of the mount namespace in which the file was looked for, 0 when it is not known.
    pub mount_namespace: u32,
    /// As given to execve, ended by NUL.
    pub filename: [u8; MAX_FILENAME],
}

const _: () = assert!(size_of::<ExecFailed>() == 88 + MAX_FILENAME);

/// Whose refused forks are counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefusedForksKey {
    /// The id that names the caller's cgroup on this node.
    pub cgroup: u64,
    /// See [`Generation`].
    pub generation: u32,
    /// Always 0.
    pub reserved: u32,
}

impl Generation for RefusedForksKey {
    fn generation(&self) -> u32 {
        self.generation
    }
}

const _: () = assert!(size_of::<RefusedForksKey>() == 16);

/// Forks of one cgroup that were refused with EAGAIN.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefusedForks {
    /// How many.
    pub count: u64,
    /// CLOCK_MONOTONIC of the first.
    pub ktime_ns: u64,
    /// Who tried it.
    pub process: Process,
    /// Valid entries of `levels`.
    pub levels_len: u32,
    /// The hierarchy of the pids controller: 0 is v2.
    pub hierarchy: u32,
    /// The caller's cgroups in the pids controller, its own first, at the first refusal.
    pub levels: [PidsLevel; MAX_PIDS_LEVELS],
}

const _: () = assert!(size_of::<RefusedForks>() == 64 + MAX_PIDS_LEVELS * size_of::<PidsLevel>());

/// One cgroup and its limit of tasks.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PidsLevel {
    /// Unique within the hierarchy of the pids controller.
    pub cgroup: u64,
    /// Tasks there were.
    pub current: u64,
    /// Tasks allowed; more than the kernel can number when there is no limit.
    pub max: u64,
}

const _: () = assert!(size_of::<PidsLevel>() == 24);
