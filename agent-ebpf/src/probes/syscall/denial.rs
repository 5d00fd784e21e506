//! Counts calls that a security policy refused. What refused a call is nowhere written: it is read off what the caller
//! lacks, and off what its filter may answer.

use aya_ebpf::helpers::generated::bpf_get_current_pid_tgid;
use inquest_agent_abi::{
    Argument, COMPAT_CALL, CapabilityCheck, Counted, DenialKey, MAX_CALLS, Refuser, Requirement,
    UNKNOWN_CALL,
};

use super::{Failure, Seen};
use crate::{
    count::{count_here, generation},
    kernel_read::{Fields, TaskPtr, layout, read_user_at},
    maps::{CAPABILITY_CHECKS, DENIALS, LAYOUT, SYSCALL_POLICY},
};

const EPERM: u32 = 1;
const EACCES: u32 = 13;

/// Families of addresses whose ports may be privileged.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `read` and `write`, which require nothing, stand for what has no place in the table.
const _: () = assert!(MAX_CALLS.is_power_of_two() && COMPAT_CALL as usize == MAX_CALLS + 1);

/// No call has this number.
const TOLD: u32 = u32::MAX;

/// Counts `failure` of the call by the number `number`, if a policy is known to have refused it.
#[inline(always)]
pub(super) fn count(failure: Failure, number: i64, registers: impl Fields, seen: Seen) {
    if failure.errno != EPERM && failure.errno != EACCES {
        return;
    }
    let refuser = if let Some(capability) = missing_capability(failure, number, registers) {
        // Before a filter: where both refuse, whoever grants the capability has runtimes open the filter, too.
        Refuser::capability(capability)
    } else if seen == Seen::Call && failure.errno == EPERM && may_be_filtered(failure.call) {
        Refuser::SECCOMP
    } else {
        return;
    };
    let key = DenialKey {
        cgroup: failure.cgroup,
        call: failure.call,
        refuser,
        generation: generation(Counted::Denials) as u16,
    };
    count_here(&DENIALS, &key, Counted::Denials);
}

#[inline(always)]
fn missing_capability(failure: Failure, number: i64, registers: impl Fields) -> Option<u32> {
    if layout(&LAYOUT.has_capability_checks) == 0 {
        required_and_missing(failure, registers)
    } else {
        found_missing(number, registers)
    }
}

/// Returns the capability that the program `capability` saw the caller be asked for in this call: most checks that fail are
/// of no consequence, for their call is not refused.
#[inline(always)]
fn found_missing(number: i64, registers: impl Fields) -> Option<u32> {
    // SAFETY: the helper has no preconditions.
    let thread = unsafe { bpf_get_current_pid_tgid() } as u32;
    let check = CAPABILITY_CHECKS.get_ptr_mut(thread)?;
    // SAFETY: this thread alone writes it.
    let CapabilityCheck {
        first,
        second,
        number: checked,
        capability,
    } = unsafe { *check };
    let is_same_call = checked == number as u32
        && first == registers.field(&LAYOUT.syscall.first)
        && second == registers.field(&LAYOUT.syscall.second);
    if !is_same_call {
        return None;
    }
    // SAFETY: as above.
    unsafe { (*check).number = TOLD };
    Some(capability)
}

/// Returns the capability that alone decides on this call, if the caller lacks it.
#[inline(always)]
fn required_and_missing(failure: Failure, registers: impl Fields) -> Option<u32> {
    // Bounded once more, where the compiler cannot take it for known: older verifiers may have forgotten. What is beyond the
    // table comes to calls that require nothing.
    let place = core::hint::black_box(failure.call as usize) & (MAX_CALLS - 1);
    let Requirement { errno, capability } = layout(SYSCALL_POLICY.required.get(place)?);
    let has_effective = TaskPtr::current().effective_capabilities()? >> (capability & 63) & 1 == 1;
    if u32::from(errno) != failure.errno || has_effective {
        return None;
    }
    // A socket of a file system needs leave of that.
    if failure.argument == Argument::ADDRESS_SECOND {
        let family: u16 = read_user_at(registers.field(&LAYOUT.syscall.second));
        if family != AF_INET && family != AF_INET6 {
            return None;
        }
    }
    Some(capability.into())
}

/// Whether the caller has a filter that does not let this call pass whatever its arguments are.
#[inline(always)]
fn may_be_filtered(call: u32) -> bool {
    let task = TaskPtr::current();
    call < UNKNOWN_CALL && task.is_filtered() && task.filter_always_allows(call) == Some(false)
}
