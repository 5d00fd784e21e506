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

/// Everything the programs need to know of this kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KernelLayout {
    /// `struct task_struct`.
    pub task: TaskLayout,
    /// `struct signal_struct` and `struct pid`.
    pub process: ProcessLayout,
    /// From a task to the names and ids of its cgroups.
    pub cgroup: CgroupLayout,
    /// `struct mm_struct` and `struct mem_cgroup`.
    pub memory: MemoryLayout,
    /// `struct kernel_siginfo`.
    pub signal: SignalLayout,
    /// `struct linux_binprm`'s `filename`.
    pub binprm_filename: Offset,
    /// Fields of the records that plain tracepoints are given.
    pub tracepoint: TracepointLayout,
    /// 1 when `mark_victim` is given the task, 0 when it is given a pid.
    pub mark_victim_has_task: u32,
    /// 1 when `sched_process_exit` is told whether the group is dead.
    pub exit_has_group_dead: u32,
    /// The hierarchy that names a process's cgroup on this node: the memory controller's, 0 when that is v2.
    pub identity_hierarchy: u32,
}

/// Fields of `struct task_struct`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TaskLayout {
    pub cgroups: Offset,
    pub comm: Offset,
    pub exit_code: Offset,
    pub group_leader: Offset,
    pub mm: Offset,
    pub pid: Offset,
    pub real_parent: Offset,
    pub signal: Offset,
    pub start_time: Offset,
    pub tgid: Offset,
}

/// What the threads of a process share.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProcessLayout {
    /// `signal_struct.flags`
    pub flags: Offset,
    /// `signal_struct.group_exit_code`
    pub group_exit_code: Offset,
    /// `signal_struct.live`, the threads left
    pub live: Offset,
    /// `signal_struct.oom_score_adj`
    pub oom_score_adj: Offset,
    /// `signal_struct.pids[PIDTYPE_TGID]`
    pub tgid_pid: Offset,
    /// `pid.level`
    pub pid_level: Offset,
    /// `pid.numbers[0].nr`
    pub pid_number: Offset,
    /// Size of an element of `pid.numbers`.
    pub pid_number_size: u32,
}

/// From a task to the names and ids of its cgroups.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CgroupLayout {
    /// `css_set.subsys[memory_cgrp_id]`
    pub memory_css: Offset,
    /// `css_set.dfl_cgrp`
    pub unified: Offset,
    /// `cgroup_subsys_state.cgroup`
    pub css_cgroup: Offset,
    /// `cgroup_subsys_state.parent`
    pub css_parent: Offset,
    /// `cgroup.kn`
    pub node: Offset,
    /// `cgroup.root`
    pub root: Offset,
    /// `cgroup_root.hierarchy_id`
    pub hierarchy_id: Offset,
    /// `kernfs_node.id`
    pub node_id: Offset,
    /// `kernfs_node.name`
    pub node_name: Offset,
}

/// Counters of a process's memory (`mm_`, from `struct mm_struct`) and of a memory cgroup's (from its css).
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    missing_docs,
    reason = "each field is the kernel's counter of that name"
)]
pub struct MemoryLayout {
    pub mm_anon: Offset,
    pub mm_file: Offset,
    pub mm_shmem: Offset,
    pub mm_swap: Offset,
    pub usage: Offset,
    pub max: Offset,
    pub failcnt: Offset,
    pub memsw_usage: Offset,
    pub memsw_max: Offset,
    pub oom_events: Offset,
    pub oom_group: Offset,
}

/// Fields of `struct kernel_siginfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignalLayout {
    /// `si_code`
    pub code: Offset,
    /// `_sifields._sigfault._addr`
    pub fault_address: Offset,
}

/// Fields of the records that plain tracepoints are given.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TracepointLayout {
    pub mark_victim_pid: Offset,
    pub sched_process_exec_filename: Offset,
    pub signal_generate_sig: Offset,
    pub signal_generate_code: Offset,
    pub signal_generate_pid: Offset,
    pub signal_generate_result: Offset,
    pub cgroup_mkdir_root: Offset,
    pub cgroup_mkdir_id: Offset,
    pub cgroup_mkdir_path: Offset,
}

impl KernelLayout {
    /// A kernel of which nothing is known.
    pub const UNKNOWN: Self = Self {
        task: TaskLayout {
            cgroups: Offset::ABSENT,
            comm: Offset::ABSENT,
            exit_code: Offset::ABSENT,
            group_leader: Offset::ABSENT,
            mm: Offset::ABSENT,
            pid: Offset::ABSENT,
            real_parent: Offset::ABSENT,
            signal: Offset::ABSENT,
            start_time: Offset::ABSENT,
            tgid: Offset::ABSENT,
        },
        process: ProcessLayout {
            flags: Offset::ABSENT,
            group_exit_code: Offset::ABSENT,
            live: Offset::ABSENT,
            oom_score_adj: Offset::ABSENT,
            tgid_pid: Offset::ABSENT,
            pid_level: Offset::ABSENT,
            pid_number: Offset::ABSENT,
            pid_number_size: 0,
        },
        cgroup: CgroupLayout {
            memory_css: Offset::ABSENT,
            unified: Offset::ABSENT,
            css_cgroup: Offset::ABSENT,
            css_parent: Offset::ABSENT,
            node: Offset::ABSENT,
            root: Offset::ABSENT,
            hierarchy_id: Offset::ABSENT,
            node_id: Offset::ABSENT,
            node_name: Offset::ABSENT,
        },
        memory: MemoryLayout {
            mm_anon: Offset::ABSENT,
            mm_file: Offset::ABSENT,
            mm_shmem: Offset::ABSENT,
            mm_swap: Offset::ABSENT,
            usage: Offset::ABSENT,
            max: Offset::ABSENT,
            failcnt: Offset::ABSENT,
            memsw_usage: Offset::ABSENT,
            memsw_max: Offset::ABSENT,
            oom_events: Offset::ABSENT,
            oom_group: Offset::ABSENT,
        },
        signal: SignalLayout {
            code: Offset::ABSENT,
            fault_address: Offset::ABSENT,
        },
        binprm_filename: Offset::ABSENT,
        tracepoint: TracepointLayout {
            mark_victim_pid: Offset::ABSENT,
            sched_process_exec_filename: Offset::ABSENT,
            signal_generate_sig: Offset::ABSENT,
            signal_generate_code: Offset::ABSENT,
            signal_generate_pid: Offset::ABSENT,
            signal_generate_result: Offset::ABSENT,
            cgroup_mkdir_root: Offset::ABSENT,
            cgroup_mkdir_id: Offset::ABSENT,
            cgroup_mkdir_path: Offset::ABSENT,
        },
        mark_victim_has_task: 0,
        exit_has_group_dead: 0,
        identity_hierarchy: 0,
    };
}

const _: () = assert!(size_of::<KernelLayout>() == 4 * (10 + 8 + 9 + 11 + 2 + 1 + 9 + 3));
