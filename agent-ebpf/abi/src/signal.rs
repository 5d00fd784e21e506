//! Where a signal came from. It has no record of its own: the exit it causes carries it.

use crate::{CgroupIds, Process};

/// Who raised a signal.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignalSource(pub u32);

impl SignalSource {
    /// Nothing is known; all other fields are undefined.
    pub const UNKNOWN: Self = Self(0);
    /// The kernel, for example its OOM killer.
    pub const KERNEL: Self = Self(1);
    /// The process in `sender`.
    pub const USER: Self = Self(2);
    /// The CPU, in the target's own code, at an unknown address.
    pub const FAULT: Self = Self(3);
    /// The CPU, in the target's own code, at `fault_address`.
    pub const FAULT_AT_ADDRESS: Self = Self(4);
}

/// `si_code` of SIGSYS when a seccomp filter refused a call.
pub const SYS_SECCOMP: i32 = 1;

/// Where a signal came from.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignalOrigin {
    /// CLOCK_MONOTONIC ns at which it was raised.
    pub ktime_ns: u64,
    /// Start of the process it was raised for, so that a reused pid is not taken for it; 0 when unknown.
    pub target_start_ktime_ns: u64,
    /// The address that could not be accessed, or of the instruction; see [`SignalSource`].
    pub fault_address: u64,
    /// Who raised it.
    pub source: SignalSource,
    /// Number of the signal.
    pub signal: u32,
    /// `si_code` as in sigaction(2).
    pub code: i32,
    /// 1 when the target was to end by it, or by an earlier one, right away.
    pub target_dying: u32,
    /// The target's parent when it was raised; 0 when unknown.
    pub target_parent_pid: u32,
    /// Of SIGSYS: number of the call that a seccomp filter refused; `UNKNOWN_CALL` when the hook does not tell.
    pub call: u32,
    /// Only with [`SignalSource::USER`].
    pub sender: Process,
    /// Only with [`SignalSource::USER`].
    pub sender_cgroups: CgroupIds,
}

const _: () = assert!(size_of::<SignalOrigin>() == 112);
