//! Hook `signal:signal_generate`: where signals that can end a process come from. Runs in the sender, or in
//! the target for a fault of its own. Kernel 5.10 and later. One comparison for other signals, some 30 reads
//! and a map update for these. Emits nothing: the exit that a signal causes carries its origin, so a
//! fault that a runtime handles costs no record.

use aya_ebpf::{
    helpers::generated::bpf_ktime_get_ns,
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{
    CgroupIds, MAX_COMM, Meter, Process, SignalOrigin, SignalSource, UNKNOWN_CALL,
};

use crate::{
    kernel_read::{Address, Arguments, TaskPtr, TracepointFields, layout, read, read_known},
    maps::{LAYOUT, OOM_VICTIMS, ORIGINS, oom_victim_key, origin_key},
    meter::metered,
    probes::{SIGKILL, SIGSYS, syscall::call_of},
};

/// Signals whose origin is kept: HUP, INT, QUIT, ILL, TRAP, ABRT, BUS, FPE, KILL, SEGV, TERM, XCPU, XFSZ and
/// SYS. Signals that run-times use among themselves (URG of Go, PROF, ALRM, USR1) are left alone.
const WATCHED: u32 = 1 << 1
    | 1 << 2
    | 1 << 3
    | 1 << 4
    | 1 << 5
    | 1 << 6
    | 1 << 7
    | 1 << 8
    | 1 << 9
    | 1 << 11
    | 1 << 15
    | 1 << 24
    | 1 << 25
    | 1 << 31;

/// Those that the CPU raises: ILL, TRAP, BUS, FPE, SEGV.
const FAULTS: u32 = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 11;

/// Results of `enum` in `include/trace/events/signal.h` with which a signal reaches its target: delivered,
/// and delivered without its details. An ignored one ends nothing, a pending one is known already.
const DELIVERED: u32 = 0;
const DELIVERED_WITHOUT_INFO: u32 = 4;

/// Not pointers to details but: as kill(2) by the sender, and by the kernel.
const SEND_SIG_NOINFO: Address = 0;
const SEND_SIG_PRIV: Address = 1;

/// `si_code` of kill(2), of sigqueue(3), of tgkill(2) and of the kernel.
const SI_USER: i32 = 0;
const SI_QUEUE: i32 = -1;
const SI_TKILL: i32 = -6;
const SI_KERNEL: i32 = 0x80;

/// A signal and the details that came with it.
#[derive(Clone, Copy)]
struct Raised {
    signal: u32,
    code: i32,
    /// The hook tells `fault_address`. Not an `Option`: what `None` leaves unset on the stack, the verifier
    /// of 5.10 refuses to see copied.
    has_fault_address: bool,
    fault_address: u64,
    /// See [`SignalOrigin::call`].
    call: u32,
}

/// To whom a signal goes, as far as the hook tells.
#[derive(Clone, Copy)]
struct Target {
    pid: u32,
    start_ktime_ns: u64,
    parent_pid: u32,
    dying: bool,
}

const METER: Meter = Meter::SIGNAL_GENERATE;

#[btf_tracepoint(function = "signal_generate")]
pub(crate) fn signal_tp_btf(ctx: BtfTracePointContext) -> i32 {
    let signal = metered(METER, || try_signal(Arguments::of(&ctx)));
    probe_log!(&ctx, "signal {}", signal);
    0
}

#[raw_tracepoint(tracepoint = "signal_generate")]
pub(crate) fn signal_raw_tp(ctx: RawTracePointContext) -> i32 {
    let signal = metered(METER, || try_signal(Arguments::of(&ctx)));
    probe_log!(&ctx, "signal {}", signal);
    0
}

#[tracepoint(category = "signal", name = "signal_generate")]
pub(crate) fn signal_tracepoint(ctx: TracePointContext) -> u32 {
    let signal = metered(METER, || try_fields(TracepointFields::of(&ctx)));
    probe_log!(&ctx, "signal {}", signal);
    0
}

/// Returns the signal. The plain tracepoint names the target by thread id only: its process, and whether it is
/// dying, are unknown, unless it is the sender.
#[inline(always)]
fn try_fields(fields: TracepointFields) -> u32 {
    let raised = Raised::without_info(
        fields.get(&LAYOUT.tracepoint.signal_generate_sig),
        fields.get(&LAYOUT.tracepoint.signal_generate_code),
    );
    let result = fields.get(&LAYOUT.tracepoint.signal_generate_result);
    if !is_watched(raised.signal) || !is_delivered(result) {
        return raised.signal;
    }
    let pid = fields.get(&LAYOUT.tracepoint.signal_generate_pid);
    let current = TaskPtr::current();
    let target = if current.thread_id() == pid {
        Target::of(current)
    } else {
        Target {
            pid,
            start_ktime_ns: 0,
            parent_pid: 0,
            dying: false,
        }
    };
    remember(raised, target, current);
    raised.signal
}

/// Returns the signal.
#[inline(always)]
fn try_signal(arguments: Arguments) -> u32 {
    let signal = arguments.get(0) as u32;
    let delivered = is_delivered(arguments.get(4) as u32);
    if !is_watched(signal) || !(delivered || signal == SIGKILL) {
        return signal;
    }
    let raised = Raised::new(signal, arguments.get(1));
    let target = TaskPtr::at(arguments.get(2));
    if signal == SIGKILL && raised.code == SI_KERNEL {
        // The OOM killer sends this just before `mark_victim`, whatever becomes of it; that may be told no more
        // than a pid. A failed insert only means that the record will hold no more.
        let key = oom_victim_key(target.thread_id());
        let _remembered = OOM_VICTIMS.insert(key, target.address(), 0);
    }
    if delivered {
        remember(raised, Target::of(target), TaskPtr::current());
    }
    signal
}

#[inline(always)]
fn is_watched(signal: u32) -> bool {
    signal < 32 && (WATCHED >> signal) & 1 == 1
}

#[inline(always)]
fn is_delivered(result: u32) -> bool {
    result == DELIVERED || result == DELIVERED_WITHOUT_INFO
}

#[inline(always)]
fn remember(raised: Raised, target: Target, current: TaskPtr) {
    let key = origin_key(target.pid, raised.signal);
    // SAFETY: two plain fields are read; a concurrent writer is another signal to the same process.
    if let Some(known) = unsafe { ORIGINS.get(key) }
        && known.target_dying == 1
        && known.target_start_ktime_ns == target.start_ktime_ns
    {
        // What ends the process is the signal that was to end it already.
        return;
    }
    let origin = raised.origin(target, current);
    // A failed insert only means that the exit will not tell its origin.
    let _remembered = ORIGINS.insert(key, origin, 0);
}

impl Target {
    #[inline(always)]
    fn of(task: TaskPtr) -> Self {
        Self {
            pid: task.pid(),
            start_ktime_ns: task.start_ktime_ns(),
            parent_pid: task.parent_pid(),
            dying: task.is_group_exiting(),
        }
    }
}

/// Returns which call of the current task SIGSYS is about, as the kernel tells at `info`.
#[inline(always)]
fn refused_call(signal: u32, info: Address) -> u32 {
    match read_known::<u32>(info, &LAYOUT.signal.call) {
        Some(number) if signal == SIGSYS => call_of(number.into()),
        _ => UNKNOWN_CALL,
    }
}

impl Raised {
    /// Returns `signal` with what the kernel tells at `info`.
    #[inline(always)]
    fn new(signal: u32, info: Address) -> Self {
        match info {
            SEND_SIG_NOINFO => Self::without_info(signal, SI_USER),
            SEND_SIG_PRIV => Self::without_info(signal, SI_KERNEL),
            info => Self {
                signal,
                code: read(info, &LAYOUT.signal.code),
                has_fault_address: layout(&LAYOUT.signal.fault_address).get().is_some(),
                fault_address: read(info, &LAYOUT.signal.fault_address),
                call: refused_call(signal, info),
            },
        }
    }

    #[inline(always)]
    fn without_info(signal: u32, code: i32) -> Self {
        Self {
            signal,
            code,
            has_fault_address: false,
            fault_address: 0,
            call: UNKNOWN_CALL,
        }
    }

    /// Tells who raised it. Timers and the like have codes of user space, too, but run in whatever
    /// task was interrupted: only for these three is the sender the current one.
    #[inline(always)]
    fn source(self, target: Target, current: TaskPtr) -> SignalSource {
        let faults = (FAULTS >> self.signal) & 1 == 1;
        if matches!(self.code, SI_USER | SI_QUEUE | SI_TKILL) {
            SignalSource::USER
        } else if faults && self.code > 0 && self.code < SI_KERNEL {
            if self.has_fault_address {
                SignalSource::FAULT_AT_ADDRESS
            } else {
                SignalSource::FAULT
            }
        } else if faults && self.code == SI_KERNEL && current.pid() == target.pid {
            // x86 reports a general protection fault so: raised in the target, without an address.
            SignalSource::FAULT
        } else {
            SignalSource::KERNEL
        }
    }

    #[inline(always)]
    fn origin(self, target: Target, current: TaskPtr) -> SignalOrigin {
        let source = self.source(target, current);
        let mut origin = SignalOrigin {
            // SAFETY: the helper has no preconditions.
            ktime_ns: unsafe { bpf_ktime_get_ns() },
            target_start_ktime_ns: target.start_ktime_ns,
            fault_address: self.fault_address,
            source,
            signal: self.signal,
            code: self.code,
            target_dying: u32::from(target.dying),
            target_parent_pid: target.parent_pid,
            call: self.call,
            sender: Process {
                start_ktime_ns: 0,
                pid: 0,
                namespace_pid: 0,
                parent_pid: 0,
                container_init: 0,
                comm: [0; MAX_COMM],
            },
            sender_cgroups: CgroupIds {
                memory: 0,
                unified: 0,
                memory_hierarchy: 0,
                reserved: 0,
            },
        };
        if source == SignalSource::USER {
            // SAFETY: the field is ours.
            unsafe { current.describe(&raw mut origin.sender) };
            origin.sender_cgroups = current.cgroups();
        }
        origin
    }
}
