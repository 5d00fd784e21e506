//! Pointers whose type the verifier knows, so that fields are loaded by plain instructions: for what runs at each
//! failed system call, where a helper call per field would cost more than all the rest.

use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task_btf, bpf_task_pt_regs,
};
use inquest_agent_abi::Offset;

use super::{Address, TaskPtr, layout, read};
use crate::maps::LAYOUT;

/// `TS_COMPAT` of `arch/x86/include/asm/thread_info.h`, the same since 2.6: a 32-bit program called.
const TS_COMPAT: u32 = 0x2;

/// Something with fields at load-time offsets.
pub(crate) trait Fields: Copy {
    /// Returns the field at `offset`, zero when this kernel has no such field.
    fn field<T: Copy + Default>(self, offset: &'static Offset) -> T;
}

/// A pointer to a kernel struct that the verifier knows as such.
#[derive(Clone, Copy)]
pub(crate) struct Typed(*const u8);

impl Typed {
    /// # Safety
    ///
    /// The verifier knows `pointer` as a pointer to a kernel struct: it is an argument of a `tp_btf` program, or
    /// was returned by a helper, or loaded through another such pointer.
    #[inline(always)]
    pub(crate) unsafe fn new(pointer: *const u8) -> Self {
        Self(pointer)
    }

    #[inline(always)]
    fn follow(self, offset: &'static Offset) -> Self {
        Self(self.field::<Address>(offset) as *const u8)
    }
}

impl Fields for Typed {
    #[inline(always)]
    fn field<T: Copy + Default>(self, offset: &'static Offset) -> T {
        let Some(bytes) = layout(offset).get() else {
            return T::default();
        };
        // SAFETY: the verifier checks that a field is there; a load from a page that is gone gives zero.
        unsafe { self.0.wrapping_add(bytes).cast::<T>().read_volatile() }
    }
}

impl Fields for Address {
    #[inline(always)]
    fn field<T: Copy + Default>(self, offset: &'static Offset) -> T {
        read(self, offset)
    }
}

/// Returns the id that names the current task's cgroup on this node.
#[inline(always)]
pub(crate) fn current_identity() -> u64 {
    if layout(&LAYOUT.identity_hierarchy) == 0 {
        // SAFETY: the helper has no preconditions.
        return unsafe { bpf_get_current_cgroup_id() };
    }
    if layout(&LAYOUT.has_current_task_btf) == 0 {
        return TaskPtr::current().memory_css().cgroup().id();
    }
    current_typed()
        .follow(&LAYOUT.task.cgroups)
        .follow(&LAYOUT.cgroup.memory_css)
        .follow(&LAYOUT.cgroup.css_cgroup)
        .follow(&LAYOUT.cgroup.node)
        .field(&LAYOUT.cgroup.node_id)
}

/// Returns whether the current system call is a 32-bit program's, whose numbers mean other calls.
#[inline(always)]
pub(crate) fn is_compat_call() -> bool {
    let status: u32 = if layout(&LAYOUT.has_current_task_btf) == 0 {
        TaskPtr::current().address().field(&LAYOUT.syscall.status)
    } else {
        current_typed().field(&LAYOUT.syscall.status)
    };
    status & TS_COMPAT != 0
}

/// Returns the registers with which the current task came into the kernel. Kernel 5.15 and later.
#[inline(always)]
pub(crate) fn current_registers() -> Typed {
    // SAFETY: the task is one that the verifier knows as such, and so are its registers.
    unsafe { Typed::new(bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u8) }
}

#[inline(always)]
fn current_typed() -> Typed {
    // SAFETY: the helper has no preconditions and returns a typed pointer.
    unsafe { Typed::new(bpf_get_current_task_btf().cast()) }
}
