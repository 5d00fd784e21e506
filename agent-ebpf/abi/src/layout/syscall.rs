//! From a system call that returns to its number and arguments, and to what these stand for.

use super::Offset;

offsets! {
    /// Fields of `struct pt_regs`, by what they hold when a system call returns.
    SyscallLayout {
        /// `orig_ax`, `syscallno`
        number,
        /// `di`, `orig_x0`
        first,
        /// `si`, `regs[1]`
        second,
        /// `dx`, `regs[2]`
        third,
        /// `r8`, `regs[4]`
        fifth,
        /// `r9`, `regs[5]`
        sixth,
        /// `task_struct.thread_info.status` of x86, which tells calls of 32-bit programs
        status,
    }
}

offsets! {
    /// From an open file to the device that it lives on, and to where that is mounted.
    FileLayout {
        /// `file.f_path.mnt`
        mount,
        /// `mount.mnt`, the `struct vfsmount` in a `struct mount`
        mount_public,
        /// `mount.mnt_ns`
        mount_namespace,
        /// `mount.mnt_parent`
        mount_parent,
        /// `mount.mnt_mountpoint`
        mount_place,
        /// `vfsmount.mnt_root`
        mount_root,
        /// `dentry.d_parent`
        entry_parent,
        /// `dentry.d_name.name`
        entry_name,
        /// `nsproxy.mnt_ns`
        task_namespace,
        /// `mnt_namespace.ns.inum`
        namespace_inode,
        /// `inode.i_sb`
        super_block,
        /// `super_block.s_dev`
        device,
    }
}

offsets! {
    /// Counters of the pids controller.
    PidsLayout {
        /// `css_set.subsys[pids_cgrp_id]`
        css,
        /// `pids_cgroup.counter`, from its css
        current,
        /// `pids_cgroup.limit`, from its css
        max,
    }
}
