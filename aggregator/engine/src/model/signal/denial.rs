//! What security policy refused. Must not say whether the policy is right.

use crate::model::Timestamp;

/// What one cgroup was denied in a window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Denials {
    pub start: Timestamp,
    pub denials: Vec<Denial>,
}

/// Which mechanism said no.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum DenialKind {
    /// The process was ended.
    SeccompKill,
    /// The call returned an errno.
    SeccompErrno,
    AppArmor,
    SeLinux,
    Capability,
    #[default]
    Unknown,
}

/// Equal denials.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Denial {
    pub kind: DenialKind,
    /// The call during which it was denied; empty when unknown.
    pub syscall: String,
    /// Path, profile or target that the record names.
    pub object: String,
    /// For example `CAP_NET_ADMIN`.
    pub capability: String,
    pub profile: String,
    pub count: u64,
}
