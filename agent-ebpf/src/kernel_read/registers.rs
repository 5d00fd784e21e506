//! Reads the registers with which a task came into the kernel: they lie at the top of its kernel stack. x86-64
//! only; elsewhere the agent finds no such registers and leaves the offsets absent.

use super::{Address, TaskPtr, layout, read, read_known};
use crate::maps::LAYOUT;

/// `THREAD_SIZE` of x86-64. A kernel built for debugging has a larger one, and fails the look at the code segment.
const STACK_BYTES: u64 = 16 * 1024;

/// What kernels leave free above the registers: nothing, or 16 bytes where they know FRED (6.9 and later).
const PADDINGS: [u64; 2] = [0, 16];

/// Code segments of user space, 64-bit and 32-bit.
const USER_CS: u16 = 0x33;
const USER32_CS: u16 = 0x23;

/// What a system call's entry puts where its result will be; an interrupt or fault leaves the user's value.
const ENOSYS: i64 = -38;

/// The saved registers of a task that is in a 64-bit system call.
#[derive(Clone, Copy)]
pub(crate) struct SyscallPtr(Address);

impl SyscallPtr {
    /// Returns the system call that `task` is in, `None` when it is in none, or that cannot be told.
    #[inline(always)]
    pub(crate) fn of(task: TaskPtr) -> Option<Self> {
        let registers = registers_of(task)?;
        let is_64_bit = read::<u16>(registers, &LAYOUT.wait.registers_cs) == USER_CS;
        let result: i64 = read_known(registers, &LAYOUT.wait.registers_ax)?;
        if is_64_bit && result == ENOSYS {
            Some(Self(registers))
        } else {
            None
        }
    }

    /// Returns the system call that a seccomp filter has ended `task` for: before it goes, the kernel puts the registers
    /// back as they were, with the call's number where its result would be.
    #[inline(always)]
    pub(crate) fn rolled_back_of(task: TaskPtr) -> Option<Self> {
        let call = Self(registers_of(task)?);
        let is_64_bit = read::<u16>(call.0, &LAYOUT.wait.registers_cs) == USER_CS;
        let result: u64 = read_known(call.0, &LAYOUT.wait.registers_ax)?;
        if is_64_bit && result as u32 == call.number() {
            Some(call)
        } else {
            None
        }
    }

    /// Returns its number.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        read::<u64>(self.0, &LAYOUT.wait.registers_orig_ax) as u32
    }

    /// Returns its first argument.
    #[inline(always)]
    pub(crate) fn first_argument(self) -> u64 {
        read(self.0, &LAYOUT.wait.registers_di)
    }

    /// Returns its second argument.
    #[inline(always)]
    pub(crate) fn second_argument(self) -> u64 {
        read(self.0, &LAYOUT.wait.registers_si)
    }

    /// Returns its third argument.
    #[inline(always)]
    pub(crate) fn third_argument(self) -> u64 {
        read(self.0, &LAYOUT.wait.registers_dx)
    }
}

#[inline(always)]
fn registers_of(task: TaskPtr) -> Option<Address> {
    let size = layout(&LAYOUT.wait.registers_ss).get()? as u64 + 8;
    let stack = task.stack();
    if stack == 0 {
        return None;
    }
    for padding in PADDINGS {
        let registers = stack + STACK_BYTES - padding - size;
        let cs: u16 = read(registers, &LAYOUT.wait.registers_cs);
        if cs == USER_CS || cs == USER32_CS {
            return Some(registers);
        }
    }
    None
}
