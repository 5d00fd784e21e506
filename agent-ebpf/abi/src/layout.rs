//! Where this kernel keeps what the programs read: filled in by the agent from the kernel's own type
//! information, constant to the verifier. Holds offsets only; how to follow them is the programs' business.

/// Bytes from the start of a kernel struct to a field, or that this kernel has no such field.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offset(u32);

impl Offset {
    /// The kernel has no such field: a reader does without it, it never reads offset 0 instead.
    pub const ABSENT: Self = Self(u32::MAX);

    /// Returns the offset of a field `bytes` into its struct.
    pub const fn new(bytes: u32) -> Self {
        Self(bytes)
    }

    /// Returns the bytes from the start of the struct, `None` when the field is absent.
    pub const fn get(self) -> Option<usize> {
        if self.0 == Self::ABSENT.0 {
            None
        } else {
            Some(self.0 as usize)
        }
    }
}

/// Declares a struct of offsets, each of them absent until the agent fills it in.
macro_rules! offsets {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: Offset,)+
        }

        impl $name {
            /// Of a kernel of which nothing is known.
            pub const ABSENT: Self = Self { $($field: Offset::ABSENT,)+ };
        }
    };
}

mod block;
mod net;
mod syscall;
mod wait;

pub use block::BlockLayout;
pub use net::{DropLayout, NeighborLayout, PacketLayout, SocketLayout, TcpLayout};
pub use syscall::{FileLayout, PidsLayout, SyscallLayout};
pub use wait::WaitLayout;

/// Everything the programs need to know of this kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KernelLayout {
    /// `struct task_struct`.
    pub task: TaskLayout,
    /// `struct cred` and `struct seccomp_filter`.
    pub privilege: PrivilegeLayout,
    /// `struct signal_struct` and `struct pid`.
    pub process: ProcessLayout,
    /// From a task to the names and ids of its cgroups.
    pub cgroup: CgroupLayout,
    /// `struct mm_struct` and `struct mem_cgroup`.
    pub memory: MemoryLayout,
    /// `struct kernel_siginfo`.
    pub signal: SignalLayout,
    /// From a request to a block device to its disk and cgroup.
    pub block: BlockLayout,
    /// What tells why a thread waits.
    pub wait: WaitLayout,
    /// `struct linux_binprm`'s `filename`.
    pub binprm_filename: Offset,
    /// `struct sk_buff` and what it leads to.
    pub packet: PacketLayout,
    /// `struct sock`.
    pub socket: SocketLayout,
    /// `struct neighbour`.
    pub neighbor: NeighborLayout,
    /// Reasons of dropped packets.
    pub drop: DropLayout,
    /// `struct pt_regs` when a system call returns.
    pub syscall: SyscallLayout,
    /// From an open file to its device.
    pub file: FileLayout,
    /// `struct pids_cgroup`.
    pub pids: PidsLayout,
    /// Tracepoints of TCP.
    pub tcp: TcpLayout,
    /// Fields of the records that plain tracepoints are given.
    pub tracepoint: TracepointLayout,
    /// Size of an element of `pid.numbers`, in bytes.
    pub pid_number_size: u32,
    /// 1 when `mark_victim` is given the task, 0 when it is given a pid.
    pub mark_victim_has_task: u32,
    /// 1 when programs are lent `bpf_get_current_task_btf` (5.11).
    pub has_current_task_btf: u32,
    /// 1 when the kernel tells of each capability that it asks a thread for (6.14).
    pub has_capability_checks: u32,
    /// 1 when `sched_process_exit` is told whether the group is dead.
    pub exit_has_group_dead: u32,
    /// 1 when `block_rq_issue` is given the queue before the request: until 5.10.
    pub block_issue_has_queue: u32,
    /// 1 when `sched_switch` is told the state in which a task leaves.
    pub switch_has_state: u32,
    /// The hierarchy that names a process's cgroup on this node: the memory controller's, 0 when that is v2.
    pub identity_hierarchy: u32,
}

offsets! {
    /// Fields of `struct task_struct`.
    TaskLayout {
        cgroups,
        comm,
        cred,
        exit_code,
        group_leader,
        mm,
        nsproxy,
        pid,
        real_parent,
        /// `seccomp.filter`
        seccomp_filter,
        /// `seccomp.mode`
        seccomp_mode,
        signal,
        stack,
        start_time,
        tgid,
    }
}

offsets! {
    /// What a task may do.
    PrivilegeLayout {
        /// `cred.cap_effective`
        effective,
        /// `seccomp_filter.cache.allow_native`
        always_allowed,
    }
}

offsets! {
    /// What the threads of a process share.
    ProcessLayout {
        /// `signal_struct.flags`
        flags,
        /// `signal_struct.group_exit_code`
        group_exit_code,
        /// `signal_struct.live`, the threads left
        live,
        /// `signal_struct.oom_score_adj`
        oom_score_adj,
        /// `signal_struct.pids[PIDTYPE_TGID]`
        tgid_pid,
        /// `pid.level`
        pid_level,
        /// `pid.numbers[0].nr`
        pid_number,
    }
}

offsets! {
    /// From a task to the names and ids of its cgroups.
    CgroupLayout {
        /// `css_set.subsys[memory_cgrp_id]`
        memory_css,
        /// `css_set.dfl_cgrp`
        unified,
        /// `cgroup_subsys_state.cgroup`
        css_cgroup,
        /// `cgroup_subsys_state.parent`
        css_parent,
        /// `cgroup.kn`
        node,
        /// `cgroup.root`
        root,
        /// `cgroup_root.hierarchy_id`
        hierarchy_id,
        /// `kernfs_node.id`
        node_id,
        /// `kernfs_node.name`
        node_name,
    }
}

offsets! {
    /// Counters of a process's memory (`mm_`, from `struct mm_struct`) and of a memory cgroup's (from its css).
    #[expect(
        missing_docs,
        reason = "each field is the kernel's counter of that name"
    )]
    MemoryLayout {
        mm_anon,
        mm_file,
        mm_shmem,
        mm_swap,
        usage,
        max,
        failcnt,
        memsw_usage,
        memsw_max,
        oom_events,
        oom_group,
    }
}

offsets! {
    /// Fields of `struct kernel_siginfo`.
    SignalLayout {
        /// `si_code`
        code,
        /// `_sifields._sigfault._addr`
        fault_address,
        /// `_sifields._sigsys._syscall`
        call,
    }
}

offsets! {
    /// Fields of the records that plain tracepoints are given.
    TracepointLayout {
        mark_victim_pid,
        sched_process_exec_filename,
        signal_generate_sig,
        signal_generate_code,
        signal_generate_pid,
        signal_generate_result,
        cgroup_mkdir_root,
        cgroup_mkdir_id,
        cgroup_mkdir_path,
        kfree_skb_packet,
        kfree_skb_location,
        kfree_skb_reason,
        block_rq_issue_dev,
        block_rq_issue_sector,
        block_rq_complete_dev,
        block_rq_complete_sector,
        block_rq_complete_nr_sector,
        block_rq_complete_error,
        sched_switch_prev_state,
        sched_switch_next_pid,
        sched_wakeup_pid,
        sys_exit_id,
        sys_exit_ret,
        cap_capable_cap,
        cap_capable_ret,
        inet_sock_set_state_socket,
        inet_sock_set_state_old,
        inet_sock_set_state_new,
        tcp_retransmit_skb_socket,
        tcp_send_reset_socket,
        tcp_send_reset_packet,
        tcp_send_reset_reason,
        tcp_receive_reset_socket,
        net_dev_queue_packet,
        netif_receive_skb_packet,
    }
}

impl KernelLayout {
    /// A kernel of which nothing is known.
    pub const UNKNOWN: Self = Self {
        task: TaskLayout::ABSENT,
        privilege: PrivilegeLayout::ABSENT,
        process: ProcessLayout::ABSENT,
        cgroup: CgroupLayout::ABSENT,
        memory: MemoryLayout::ABSENT,
        signal: SignalLayout::ABSENT,
        block: BlockLayout::ABSENT,
        wait: WaitLayout::ABSENT,
        binprm_filename: Offset::ABSENT,
        packet: PacketLayout::ABSENT,
        socket: SocketLayout::ABSENT,
        neighbor: NeighborLayout::ABSENT,
        drop: DropLayout::UNKNOWN,
        syscall: SyscallLayout::ABSENT,
        file: FileLayout::ABSENT,
        pids: PidsLayout::ABSENT,
        tcp: TcpLayout::UNKNOWN,
        tracepoint: TracepointLayout::ABSENT,
        pid_number_size: 0,
        mark_victim_has_task: 0,
        has_current_task_btf: 0,
        has_capability_checks: 0,
        exit_has_group_dead: 0,
        block_issue_has_queue: 0,
        switch_has_state: 0,
        identity_hierarchy: 0,
    };
}

/// Nothing but 32-bit words, so no padding.
const _: () = assert!(align_of::<KernelLayout>() == 4);
