//! Hook `raw_syscalls:sys_exit`, or the returns of the functions that make the calls of interest: system calls that
//! failed. Kernel 5.10 and later. One comparison for a call that succeeded; for others some 10 loads and an update of a per-CPU count, and for those of interest their argument.
//! Emits `ExecFailed`, bulk; everything else is counted or kept in maps.

mod denial;
mod exec;
mod fork;
mod last_words;

use aya_ebpf::{
    macros::{btf_tracepoint, fexit, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, FExitContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{Argument, COMPAT_CALL, Counted, FailureKey, Meter, UNKNOWN_CALL};

use crate::{
    count::{count_here, generation},
    kernel_read::{
        Address, Fields, SyscallPtr, TaskPtr, TracepointFields, Typed, current_identity,
        is_compat_call, layout,
    },
    maps::{FAILURES, LAYOUT, SYSCALL_POLICY},
    meter::metered,
};

/// What the kernel returns as an error is in -4095..0.
const MAX_KERNEL_ERRNO: u64 = 4095;
/// Errors that never leave the kernel (`ERESTARTSYS` and the like, `include/linux/errno.h`): the call goes on.
const INTERNAL_ERRNOS: core::ops::RangeInclusive<u64> = 512..=530;

/// A call that failed.
#[derive(Clone, Copy)]
struct Failure {
    cgroup: u64,
    call: u32,
    errno: u32,
    argument: Argument,
    /// Where this call's failures are put together.
    place: u32,
}

/// What a hook sees the end of.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Seen {
    /// The call.
    Call,
    /// The function that makes it: no filter kept the call from that.
    Function,
}

const METER: Meter = Meter::SYS_EXIT;

/// For a hook that does not tell the registers, or a call whose registers are of no interest.
const NOWHERE: Address = 0;

/// Loaded once for each function that makes a call of interest: it runs when that returns.
#[fexit]
pub(crate) fn syscall_fexit(ctx: FExitContext) -> i32 {
    // SAFETY: such a function is given the caller's `struct pt_regs`, alone.
    metered(METER, || unsafe {
        returned(ctx.arg(0), ctx.arg(1), Seen::Function)
    });
    0
}

/// For the function behind all calls that make a task: those without arguments have none that the kernel would type.
#[fexit]
pub(crate) fn fork_fexit(ctx: FExitContext) -> i32 {
    metered(METER, || {
        let result: i32 = ctx.arg(1);
        if result < 0
            && let Some(call) = SyscallPtr::of(TaskPtr::current())
        {
            failed(NOWHERE, call.number().into(), result.into(), Seen::Function);
        }
    });
    0
}

#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn syscall_tp_btf(ctx: BtfTracePointContext) -> i32 {
    // SAFETY: the first argument of `sys_exit` is the caller's `struct pt_regs`.
    metered(METER, || unsafe {
        returned(ctx.arg(0), ctx.arg(1), Seen::Call)
    });
    0
}

/// # Safety
///
/// The verifier knows `registers` as a pointer to a `struct pt_regs`.
#[inline(always)]
unsafe fn returned(registers: *const u8, result: i64, seen: Seen) {
    if result < 0 {
        // SAFETY: as promised by the caller.
        let registers = unsafe { Typed::new(registers) };
        let number = registers.field(&LAYOUT.syscall.number);
        failed(registers, number, result, seen);
    }
}

#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn syscall_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(METER, || {
        let result: i64 = ctx.arg(1);
        if result < 0 {
            let registers: Address = ctx.arg(0);
            let number = registers.field(&LAYOUT.syscall.number);
            failed(registers, number, result, Seen::Call);
        }
    });
    0
}

/// This hook does not tell the arguments of the call.
#[tracepoint(category = "raw_syscalls", name = "sys_exit")]
pub(crate) fn syscall_tracepoint(ctx: TracePointContext) -> u32 {
    metered(METER, || {
        let fields = TracepointFields::of(&ctx);
        let result: i64 = fields.get(&LAYOUT.tracepoint.sys_exit_ret);
        if result < 0 {
            let number = fields.get(&LAYOUT.tracepoint.sys_exit_id);
            failed(NOWHERE, number, result, Seen::Call);
        }
    });
    0
}

/// A call by the number `number` has returned `result`; -1 is the number of a return from a signal handler, which
/// leaves whatever the interrupted code had there.
#[inline(always)]
fn failed(registers: impl Fields, number: i64, result: i64, seen: Seen) {
    let errno = result.unsigned_abs();
    if errno > MAX_KERNEL_ERRNO || INTERNAL_ERRNOS.contains(&errno) || number < 0 {
        return;
    }
    let call = call_of(number as u64);
    let errno = errno as u32;
    if is_ignored(call, errno) {
        return;
    }
    let failure = Failure {
        cgroup: current_identity(),
        call,
        errno,
        argument: argument_of(call),
        place: place_of(call),
    };
    count(failure);
    denial::count(failure, number, registers, seen);
    if failure.argument != Argument::UNINTERESTING {
        tell(failure, registers);
    }
}

/// Returns the number under which the current call, by the number `number`, is counted.
#[inline(always)]
pub(super) fn call_of(number: u64) -> u32 {
    if is_compat_call() {
        COMPAT_CALL
    } else if number < u64::from(UNKNOWN_CALL) {
        number as u32
    } else {
        UNKNOWN_CALL
    }
}

#[inline(always)]
fn is_ignored(call: u32, errno: u32) -> bool {
    let errnos = SYSCALL_POLICY.ignored.get(call as usize);
    errnos.is_some_and(|errnos| contains(&errnos.0, errno))
}

#[inline(always)]
fn argument_of(call: u32) -> Argument {
    let argument = SYSCALL_POLICY.arguments.get(call as usize);
    argument.map_or(Argument::UNINTERESTING, layout)
}

#[inline(always)]
fn place_of(call: u32) -> u32 {
    let place = SYSCALL_POLICY.places.get(call as usize);
    place.map_or(0, |place| layout(place).into())
}

/// `Errnos::contains` of what the agent overrides.
#[inline(always)]
fn contains(words: &'static [u64], errno: u32) -> bool {
    // A copy of its own to hold against the bound: what the compiler has on the stack is not bounded to older verifiers by
    // what they learn of a register.
    let place = core::hint::black_box(errno as usize / 64);
    let word = words.get(place);
    word.is_some_and(|word| layout(word) >> (errno % 64) & 1 == 1)
}

#[inline(always)]
fn count(failure: Failure) {
    let key = FailureKey {
        cgroup: failure.cgroup,
        call: failure.call,
        errno: failure.errno as u16,
        generation: generation(Counted::Failures) as u16,
    };
    count_here(&FAILURES, &key, Counted::Failures);
}

/// Keeps or emits what a failure of interest is about.
#[inline(always)]
fn tell(failure: Failure, registers: impl Fields) {
    match failure.argument {
        Argument::EXEC_FIRST => exec::record(failure, registers.field(&LAYOUT.syscall.first)),
        Argument::EXEC_SECOND => exec::record(failure, registers.field(&LAYOUT.syscall.second)),
        Argument::FORK => fork::count(failure),
        _ => {}
    }
    if contains(&SYSCALL_POLICY.remembered.0, failure.errno) {
        last_words::remember(failure, registers);
    }
}
