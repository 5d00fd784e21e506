//! What tells why a thread waits.

use super::Offset;

offsets! {
    /// From a task to its state, its system call and the socket that call is about.
    WaitLayout {
        /// `task_struct.__state`
        state,
        /// `task_struct.on_cpu`, not 0 while it runs
        on_cpu,
        /// `task_struct.stack`
        stack,
        /// `task_struct.nvcsw`, how often it has given up a CPU
        switches,
        /// `pt_regs.ss`, the last of the registers that a task came into the kernel with (x86-64)
        registers_ss,
        /// `pt_regs.cs`
        registers_cs,
        /// `pt_regs.ax`
        registers_ax,
        /// `pt_regs.orig_ax`, the number of the system call
        registers_orig_ax,
        /// `pt_regs.di`, its first argument
        registers_di,
        /// `pt_regs.si`, its second
        registers_si,
        /// `pt_regs.dx`, its third
        registers_dx,
        /// `task_struct.files`
        files,
        /// `files_struct.fdt`
        descriptors,
        /// `fdtable.max_fds`
        descriptor_count,
        /// `fdtable.fd`
        descriptor_files,
        /// `file.f_inode`
        file_inode,
        /// `file.private_data`, of a socket's file the `struct socket`
        file_private,
        /// `inode.i_mode`
        inode_mode,
        /// `socket.sk`
        socket_sock,
        /// `sock.__sk_common.skc_family`
        sock_family,
        /// `sock.__sk_common.skc_dport`
        sock_port,
        /// `sock.__sk_common.skc_daddr`
        sock_address_v4,
        /// `sock.__sk_common.skc_v6_daddr`
        sock_address_v6,
    }
}
