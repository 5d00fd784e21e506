//! How calls that a security policy refused are counted, and what the programs need in order to tell.

use crate::Generation;

/// Denials that are counted at once, those of both generations: 100 containers that are each refused five calls.
pub const DENIALS: u32 = 1024;

/// Threads of which the last capability that they lacked is remembered: no longer than a call takes, so as many as are
/// within a call, a few for each CPU, and those that got along without.
pub const CAPABILITY_CHECKS: u32 = 4096;

/// The last capability that a thread was found to lack, and the call in which that was. What tells one call from another
/// is its number and two arguments: the same values in the next call mean the same question.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CapabilityCheck {
    /// First argument of the call.
    pub first: u64,
    /// Second argument of the call.
    pub second: u64,
    /// Number of the call as the thread gave it; [`u32::MAX`] once it was told.
    pub number: u32,
    /// Number of the capability.
    pub capability: u32,
}

const _: () = assert!(size_of::<CapabilityCheck>() == 24);

/// The one capability that decides on a call, and the error of a caller without it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requirement {
    /// 0 when no capability alone decides.
    pub errno: u8,
    /// Number of the capability.
    pub capability: u8,
}

impl Requirement {
    /// No capability alone decides.
    pub const NONE: Self = Self {
        errno: 0,
        capability: 0,
    };
}

/// What refused a call. A number rather than an enum: it is part of a key.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refuser(u16);

impl Refuser {
    /// A seccomp filter.
    pub const SECCOMP: Self = Self(u16::MAX);

    /// Returns that the caller lacks the capability `number`.
    pub const fn capability(number: u32) -> Self {
        Self(number as u16)
    }

    /// Returns the number of the capability that was missing, `None` when that was not the reason.
    pub const fn missing_capability(self) -> Option<u32> {
        if self.0 == Self::SECCOMP.0 {
            None
        } else {
            Some(self.0 as u32)
        }
    }
}

/// What denials are counted by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DenialKey {
    /// The id that names the caller's cgroup on this node.
    pub cgroup: u64,
    /// Number of the call that failed, `UNKNOWN_CALL` or `COMPAT_CALL`.
    pub call: u32,
    /// Who said no.
    pub refuser: Refuser,
    /// See [`Generation`].
    pub generation: u16,
}

impl Generation for DenialKey {
    fn generation(&self) -> u32 {
        self.generation.into()
    }
}

const _: () = assert!(size_of::<DenialKey>() == 16);
