//! The probe of failed system calls.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

/// Any program on this hook sends every system call of the node through the kernel's slow path, in and out:
/// measured on 6.18 with an empty program, less its own run.
const SLOW_PATH_NS: u32 = 80;

pub(super) const PROBE: Probe = Probe {
    family: Family::Syscall,
    name: "sys_exit",
    category: "raw_syscalls",
    programs: ["syscall_tp_btf", "syscall_raw_tp", "syscall_tracepoint"],
    stands_alone: false,
    has_fields: |fields| {
        [fields.sys_exit_id, fields.sys_exit_ret]
            .iter()
            .all(|field| field.get().is_some())
    },
    without: "which system calls failed, and what a container tried last before it ended",
    meter: Meter::SYS_EXIT,
    attached_ns: SLOW_PATH_NS,
};
