//! The probe of failed system calls.

use super::{Family, Probe};

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
};
