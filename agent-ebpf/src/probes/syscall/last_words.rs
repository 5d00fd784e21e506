//! Keeps the last failed calls of interest of each cgroup with what they were about. The arguments are still in the
//! caller's registers when a call returns.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::generated::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns},
};
use inquest_agent_abi::{
    Argument, Counted, FailedCall, LastWords, MAX_ARGUMENT, MAX_COMM, MAX_LAST_WORDS,
};

use super::Failure;
use crate::{
    count::{add, uncounted},
    kernel_read::{Fields, OpenFile, read_user_bytes, read_user_text},
    maps::{CALL_SCRATCH, LAST_WORDS, LAYOUT, NO_WORDS},
};

/// Start of `/etc/ld.so.preload`, which the loader of each program asks for and hardly any node has.
const PRELOAD: [u64; 2] = [
    u64::from_ne_bytes(*b"/etc/ld."),
    u64::from_ne_bytes(*b"so.prelo"),
];

#[inline(always)]
pub(super) fn remember(failure: Failure, registers: impl Fields) {
    let Some(call) = CALL_SCRATCH.get_ptr_mut(failure.place) else {
        return;
    };
    // SAFETY: the scratch is this CPU's and this program's, which does not interrupt itself.
    unsafe {
        describe(failure, registers, call);
        if is_preload(&raw const (*call).argument) {
            return;
        }
        match words_of(failure.cgroup) {
            Some(words) => append(words, call),
            None => uncounted(Counted::LastWords),
        }
    }
}

/// # Safety
///
/// `call` is valid for writes.
#[inline(always)]
unsafe fn describe(failure: Failure, registers: impl Fields, call: *mut FailedCall) {
    // SAFETY: as promised by the caller; the helpers have no preconditions but room for what they write.
    unsafe {
        (*call).ktime_ns = bpf_ktime_get_ns();
        (*call).pid = (bpf_get_current_pid_tgid() >> 32) as u32;
        (*call).call = failure.call;
        (*call).errno = failure.errno as u16;
        (*call).argument_whole = 0;
        (*call).kind = failure.argument;
        (*call).device = 0;
        bpf_get_current_comm((&raw mut (*call).comm).cast(), MAX_COMM as u32);
        (*call).argument = [0; MAX_ARGUMENT];
        let argument = &raw mut (*call).argument;
        match failure.argument {
            Argument::PATH_FIRST | Argument::EXEC_FIRST => {
                read_user_text(registers.field(&LAYOUT.syscall.first), argument);
            }
            Argument::PATH_SECOND | Argument::EXEC_SECOND => {
                read_user_text(registers.field(&LAYOUT.syscall.second), argument);
            }
            Argument::ADDRESS_SECOND => read_user_bytes(
                registers.field(&LAYOUT.syscall.second),
                registers.field(&LAYOUT.syscall.third),
                argument,
            ),
            Argument::ADDRESS_FIFTH => read_user_bytes(
                registers.field(&LAYOUT.syscall.fifth),
                registers.field(&LAYOUT.syscall.sixth),
                argument,
            ),
            Argument::FILE => {
                let number: u64 = registers.field(&LAYOUT.syscall.first);
                let file = OpenFile::of_current(number as u32);
                (*call).device = file.device();
                (*call).argument_whole = u8::from(file.read_mount_point(failure.place, argument));
            }
            _ => {}
        }
    }
}

/// # Safety
///
/// `argument` is valid for reads and at a multiple of 8.
#[inline(always)]
unsafe fn is_preload(argument: *const [u8; MAX_ARGUMENT]) -> bool {
    // SAFETY: as promised by the caller.
    unsafe { *argument.cast::<[u64; 2]>() == PRELOAD }
}

/// Returns the words of `cgroup`, made if there are none yet; `None` when there is no room.
#[inline(always)]
fn words_of(cgroup: u64) -> Option<*mut LastWords> {
    let known = LAST_WORDS.get_ptr_mut(cgroup);
    if known.is_some() {
        return known;
    }
    let empty = NO_WORDS.get(0)?;
    // When another CPU was first, its words are found.
    let _inserted = LAST_WORDS.insert(cgroup, empty, u64::from(BPF_NOEXIST));
    LAST_WORDS.get_ptr_mut(cgroup)
}

/// Puts `call` in the place of the oldest. Two CPUs may choose the same place: not every kernel that we run on has an
/// atomic addition that returns the sum.
///
/// # Safety
///
/// `words` is valid for writes, `call` for reads and writes.
#[inline(always)]
unsafe fn append(words: *mut LastWords, call: *mut FailedCall) {
    // SAFETY: as promised by the caller; the index is below the length.
    unsafe {
        let written = (&raw const (*words).written).read_volatile();
        add(&raw mut (*words).written, 1);
        let place = (written % MAX_LAST_WORDS as u64) as usize;
        let slot = (&raw mut (*words).calls).cast::<FailedCall>().add(place);
        (*call).sequence = written + 1;
        slot.write(*call);
    }
}
