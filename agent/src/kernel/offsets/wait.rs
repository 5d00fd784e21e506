//! From a task to its state, its system call and the socket that call is about. Must not read anything itself.

use super::{OPTIONAL, Row, row};
use crate::probes::Family::{self, SchedSwitch};

const SWITCH: &[Family] = &[SchedSwitch];

/// Registers are found on x86-64 only; elsewhere states are told without system calls.
pub(super) const TABLE: &[Row] = &[
    row(
        |l| &mut l.wait.state,
        &["task_struct.__state", "task_struct.state"],
        SWITCH,
    ),
    row(|l| &mut l.wait.on_cpu, &["task_struct.on_cpu"], OPTIONAL),
    row(|l| &mut l.wait.stack, &["task_struct.stack"], OPTIONAL),
    row(|l| &mut l.wait.switches, &["task_struct.nvcsw"], OPTIONAL),
    row(|l| &mut l.wait.registers_ss, &["pt_regs.ss"], OPTIONAL),
    row(|l| &mut l.wait.registers_cs, &["pt_regs.cs"], OPTIONAL),
    row(|l| &mut l.wait.registers_ax, &["pt_regs.ax"], OPTIONAL),
    row(
        |l| &mut l.wait.registers_orig_ax,
        &["pt_regs.orig_ax"],
        OPTIONAL,
    ),
    row(|l| &mut l.wait.registers_di, &["pt_regs.di"], OPTIONAL),
    row(|l| &mut l.wait.registers_si, &["pt_regs.si"], OPTIONAL),
    row(|l| &mut l.wait.registers_dx, &["pt_regs.dx"], OPTIONAL),
    row(|l| &mut l.wait.files, &["task_struct.files"], OPTIONAL),
    row(|l| &mut l.wait.descriptors, &["files_struct.fdt"], OPTIONAL),
    row(
        |l| &mut l.wait.descriptor_count,
        &["fdtable.max_fds"],
        OPTIONAL,
    ),
    row(|l| &mut l.wait.descriptor_files, &["fdtable.fd"], OPTIONAL),
    row(|l| &mut l.wait.file_inode, &["file.f_inode"], OPTIONAL),
    row(
        |l| &mut l.wait.file_private,
        &["file.private_data"],
        OPTIONAL,
    ),
    row(|l| &mut l.wait.inode_mode, &["inode.i_mode"], OPTIONAL),
    row(|l| &mut l.wait.socket_sock, &["socket.sk"], OPTIONAL),
    row(
        |l| &mut l.wait.sock_family,
        &["sock.__sk_common.skc_family"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.wait.sock_port,
        &["sock.__sk_common.skc_dport"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.wait.sock_address_v4,
        &["sock.__sk_common.skc_daddr"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.wait.sock_address_v6,
        &["sock.__sk_common.skc_v6_daddr"],
        OPTIONAL,
    ),
];
