//! The only place that follows kernel pointers, always by a load-time offset through
//! `bpf_probe_read_kernel`: it works for every program type since 5.5, and a pointer that leads nowhere
//! reads as zero instead of faulting.
//!
//! A field that this kernel does not have reads as zero too; the agent does not attach a probe whose
//! meaning hangs on such a field.

mod block;
mod cgroup;
mod descriptor;
mod file;
mod neighbor;
mod packet;
mod pids;
mod registers;
mod socket;
mod task;
mod typed;

pub(crate) use block::BlockRequestPtr;
pub(crate) use cgroup::{CgroupPtr, MemoryCss};
pub(crate) use descriptor::DescriptorSocket;
pub(crate) use file::{MountWalk, OpenFile};
pub(crate) use neighbor::NeighborPtr;
pub(crate) use packet::{DevicePtr, IpHeader, PacketPtr, TypedPacket, protocol};
pub(crate) use pids::describe_pids_levels;
pub(crate) use registers::SyscallPtr;
pub(crate) use socket::{NetnsPtr, SocketPtr, tcp_state};
pub(crate) use task::{SIGNAL_MASK, TaskPtr};
pub(crate) use typed::{Fields, Typed, current_identity, current_registers, is_compat_call};

use aya_ebpf::{
    EbpfContext,
    helpers::generated::{
        bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user,
        bpf_probe_read_user_str,
    },
};
use inquest_agent_abi::Offset;

/// An address in the kernel, not known to be valid; 0 is nowhere.
pub(crate) type Address = u64;

/// Returns the value of a layout field as the agent set it.
#[inline(always)]
pub(crate) fn layout<T: Copy>(field: &'static T) -> T {
    // SAFETY: a reference to a plain value. Volatile, because the compiler would fold the initial value.
    unsafe { core::ptr::read_volatile(field) }
}

/// Reads the field at `offset` of the struct at `base`, zero when there is no such field or struct.
#[inline(always)]
pub(crate) fn read<T: Copy + Default>(base: Address, offset: &'static Offset) -> T {
    read_known(base, offset).unwrap_or_default()
}

/// Reads the field at `offset` of the struct at `base`, `None` when this kernel has no such field.
#[inline(always)]
pub(crate) fn read_known<T: Copy + Default>(base: Address, offset: &'static Offset) -> Option<T> {
    layout(offset)
        .get()
        .map(|bytes| read_at(base.wrapping_add(bytes as u64)))
}

/// Reads the value at `address`, zero when it cannot be read.
#[inline(always)]
pub(crate) fn read_at<T: Copy + Default>(address: Address) -> T {
    let mut value = T::default();
    // SAFETY: `value` has room for `T`; the helper checks the source and zeroes `value` on failure.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
    }
    value
}

/// Loads the field at `offset` of the struct at `base` without a call, `None` when this kernel has no such field.
///
/// # Safety
///
/// `base` is a pointer that the verifier knows the type of, with such a field there: one of a `tp_btf` program's
/// arguments, or loaded from one. What it leads to may be gone; then the kernel makes the value zero.
#[inline(always)]
pub(crate) unsafe fn load<T: Copy>(base: *const u8, offset: &'static Offset) -> Option<T> {
    // SAFETY: as promised by the caller. Volatile, since the kernel changes it.
    layout(offset)
        .get()
        .map(|bytes| unsafe { core::ptr::read_volatile(base.add(bytes).cast::<T>()) })
}

/// Reads the value at `address` of the current process, zero when it cannot be read.
#[inline(always)]
pub(crate) fn read_user_at<T: Copy + Default>(address: Address) -> T {
    let mut value = T::default();
    // SAFETY: `value` has room for `T`; the helper checks the source and zeroes `value` on failure.
    unsafe {
        bpf_probe_read_user(
            (&raw mut value).cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
    }
    value
}

/// Copies the text at `address`, at most `N` bytes, its NUL included, to `to`.
///
/// # Safety
///
/// `to` is valid for writes.
#[inline(always)]
pub(crate) unsafe fn read_text<const N: usize>(address: Address, to: *mut [u8; N]) {
    // SAFETY: `to` has room for `N` bytes; the helper checks the source and empties `to` on failure.
    unsafe { bpf_probe_read_kernel_str(to.cast(), N as u32, address as *const _) };
}

/// Copies the text at `address` of the current process, at most `N` bytes, its NUL included, to `to`.
///
/// # Safety
///
/// `to` is valid for writes.
#[inline(always)]
pub(crate) unsafe fn read_user_text<const N: usize>(address: Address, to: *mut [u8; N]) {
    // SAFETY: `to` has room for `N` bytes; the helper checks the source.
    let read = unsafe { bpf_probe_read_user_str(to.cast(), N as u32, address as *const _) };
    if read < 0 {
        // SAFETY: as promised by the caller.
        unsafe { to.cast::<u8>().write(0) };
    }
}

/// Copies `len` bytes at `address` of the current process to `to`, as many as fit.
///
/// # Safety
///
/// `to` is valid for writes.
#[inline(always)]
pub(crate) unsafe fn read_user_bytes<const N: usize>(address: Address, len: u64, to: *mut [u8; N]) {
    let len = if len < N as u64 { len as u32 } else { N as u32 };
    // SAFETY: `to` has room for `len` bytes; the helper checks the source and zeroes `to` on failure.
    unsafe { bpf_probe_read_user(to.cast(), len, address as *const _) };
}

/// What a tracepoint is given: an array of 64-bit arguments, for `tp_btf` and `raw_tp` programs alike.
#[derive(Clone, Copy)]
pub(crate) struct Arguments(Address);

impl Arguments {
    /// Returns the arguments behind `ctx`, which must be that of a `tp_btf` or `raw_tp` program.
    #[inline(always)]
    pub(crate) fn of(ctx: &impl EbpfContext) -> Self {
        Self(ctx.as_ptr() as Address)
    }

    /// Returns argument `index` as a plain number. An argument that this kernel's tracepoint does not
    /// have is garbage, where a direct load would make the verifier refuse the program.
    #[inline(always)]
    pub(crate) fn get(self, index: u64) -> u64 {
        read_at(self.0.wrapping_add(index * 8))
    }
}

/// The record that a plain tracepoint is given.
#[derive(Clone, Copy)]
pub(crate) struct TracepointFields(Address);

impl TracepointFields {
    /// Returns the fields behind `ctx`, which must be that of a plain tracepoint program.
    #[inline(always)]
    pub(crate) fn of(ctx: &impl EbpfContext) -> Self {
        Self(ctx.as_ptr() as Address)
    }

    /// Reads a field of fixed size.
    #[inline(always)]
    pub(crate) fn get<T: Copy + Default>(self, offset: &'static Offset) -> T {
        read(self.0, offset)
    }

    /// Returns where the text of a `__data_loc` field is: its offset is in the low half of the field.
    #[inline(always)]
    pub(crate) fn text(self, offset: &'static Offset) -> Address {
        self.0
            .wrapping_add(u64::from(self.get::<u32>(offset) & 0xffff))
    }
}
