//! The maps of calls that a security policy refused.

use aya_ebpf::{
    macros::map,
    maps::{LruHashMap, PerCpuHashMap},
};
use inquest_agent_abi::{
    CAPABILITY_CHECKS as MAX_CHECKS, CapabilityCheck, DENIALS as MAX_DENIALS, DenialKey,
};

/// What each thread was found to lack last, by its id.
#[map]
pub(crate) static CAPABILITY_CHECKS: LruHashMap<u32, CapabilityCheck> =
    LruHashMap::with_max_entries(MAX_CHECKS, 0);

#[map]
pub(crate) static DENIALS: PerCpuHashMap<DenialKey, u64> =
    PerCpuHashMap::with_max_entries(MAX_DENIALS, 0);
