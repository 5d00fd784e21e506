//! From a returning system call to its arguments, devices and limits of tasks. Must not read anything itself.

use super::{OPTIONAL, Row, row};
use crate::probes::Family::{Capability, Syscall};

/// Registers by their names on x86, then on arm64. The controller's struct starts with its css.
pub(super) const TABLE: &[Row] = &[
    row(
        |l| &mut l.syscall.number,
        &["pt_regs.orig_ax", "pt_regs.syscallno"],
        &[Syscall, Capability],
    ),
    row(
        |l| &mut l.syscall.first,
        &["pt_regs.di", "pt_regs.orig_x0"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.syscall.second,
        &["pt_regs.si", "pt_regs.regs[1]"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.syscall.third,
        &["pt_regs.dx", "pt_regs.regs[2]"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.syscall.fifth,
        &["pt_regs.r8", "pt_regs.regs[4]"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.syscall.sixth,
        &["pt_regs.r9", "pt_regs.regs[5]"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.syscall.status,
        &["task_struct.thread_info.status"],
        OPTIONAL,
    ),
    row(|l| &mut l.file.mount, &["file.f_path.mnt"], OPTIONAL),
    row(|l| &mut l.file.mount_public, &["mount.mnt"], OPTIONAL),
    row(|l| &mut l.file.mount_namespace, &["mount.mnt_ns"], OPTIONAL),
    row(
        |l| &mut l.file.task_namespace,
        &["nsproxy.mnt_ns"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.file.namespace_inode,
        &["mnt_namespace.ns.inum"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.file.mount_parent,
        &["mount.mnt_parent"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.file.mount_place,
        &["mount.mnt_mountpoint"],
        OPTIONAL,
    ),
    row(|l| &mut l.file.mount_root, &["vfsmount.mnt_root"], OPTIONAL),
    row(|l| &mut l.file.entry_parent, &["dentry.d_parent"], OPTIONAL),
    row(
        |l| &mut l.file.entry_name,
        &["dentry.d_name.name"],
        OPTIONAL,
    ),
    row(|l| &mut l.file.super_block, &["inode.i_sb"], OPTIONAL),
    row(|l| &mut l.file.device, &["super_block.s_dev"], OPTIONAL),
    row(
        |l| &mut l.pids.css,
        &["css_set.subsys[pids_cgrp_id]"],
        OPTIONAL,
    ),
    row(|l| &mut l.pids.current, &["pids_cgroup.counter"], OPTIONAL),
    row(|l| &mut l.pids.max, &["pids_cgroup.limit"], OPTIONAL),
];
