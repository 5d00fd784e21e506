//! Hook `capability:cap_capable`: capabilities that a thread was asked for and lacks. Kernel 6.14 and later. One comparison
//! for a capability that is there, some 10 loads and the update of a map for one that is not. Emits nothing: most of these
//! checks are the kernel's own and of no consequence, so `sys_exit` counts those whose call was refused.

use aya_ebpf::{
    helpers::generated::bpf_get_current_pid_tgid,
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{CapabilityCheck, Meter};

use crate::{
    kernel_read::{Fields, TracepointFields, current_registers},
    maps::{CAPABILITY_CHECKS, LAYOUT},
    meter::metered,
};

/// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH are asked for whenever the mode of a file forbids: that is an ordinary
/// refusal of a file, which the failed call tells with its path.
const OF_FILE_MODES: u32 = 1 << 1 | 1 << 2;

/// Does for whatever a narrower capability was made for later, and is asked for after that.
const CAP_SYS_ADMIN: u32 = 21;

const METER: Meter = Meter::CAP_CAPABLE;

#[btf_tracepoint(function = "cap_capable")]
pub(crate) fn capability_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(METER, || checked(ctx.arg(3), ctx.arg(4)));
    0
}

#[raw_tracepoint(tracepoint = "cap_capable")]
pub(crate) fn capability_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(METER, || checked(ctx.arg(3), ctx.arg(4)));
    0
}

#[tracepoint(category = "capability", name = "cap_capable")]
pub(crate) fn capability_tracepoint(ctx: TracePointContext) -> u32 {
    metered(METER, || {
        let fields = TracepointFields::of(&ctx);
        checked(
            fields.get(&LAYOUT.tracepoint.cap_capable_cap),
            fields.get(&LAYOUT.tracepoint.cap_capable_ret),
        );
    });
    0
}

/// The current thread was asked for `capability`; `result` is 0 when it has it.
#[inline(always)]
fn checked(capability: i32, result: i32) {
    if result == 0 || is_of_file_modes(capability as u32) {
        return;
    }
    let registers = current_registers();
    let number: u64 = registers.field(&LAYOUT.syscall.number);
    let check = CapabilityCheck {
        first: registers.field(&LAYOUT.syscall.first),
        second: registers.field(&LAYOUT.syscall.second),
        number: number as u32,
        capability: capability as u32,
    };
    // SAFETY: the helper has no preconditions.
    let thread = unsafe { bpf_get_current_pid_tgid() } as u32;
    if let Some(known) = CAPABILITY_CHECKS.get_ptr_mut(thread) {
        // SAFETY: this thread alone writes it.
        unsafe {
            if !is_second_choice(&*known, &check) {
                *known = check;
            }
        }
        return;
    }
    // A failed insert only means that the failure will not tell what was missing.
    let _remembered = CAPABILITY_CHECKS.insert(thread, check, 0);
}

/// Whether `check` asks for CAP_SYS_ADMIN just because the thread lacks the narrower capability that `known` is about.
#[inline(always)]
fn is_second_choice(known: &CapabilityCheck, check: &CapabilityCheck) -> bool {
    check.capability == CAP_SYS_ADMIN
        && known.number == check.number
        && known.first == check.first
        && known.second == check.second
}

#[inline(always)]
fn is_of_file_modes(capability: u32) -> bool {
    capability < 32 && (OF_FILE_MODES >> capability) & 1 == 1
}
