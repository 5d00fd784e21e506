//! Reads tasks and the processes they belong to.

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel};
use inquest_agent_abi::{CgroupIds, MAX_COMM, Process, ResidentPages};

use super::{Address, CgroupPtr, MemoryCss, NetnsPtr, layout, read, read_at, read_known};
use crate::maps::LAYOUT;

/// `SIGNAL_GROUP_EXIT` of `include/linux/sched/signal.h`, the same since 2.6: the process is to end as a whole.
const SIGNAL_GROUP_EXIT: u32 = 0x4;

/// Bytes of a task's kernel stack on x86-64 and arm64. Where it is larger (KASAN, pages of 64 KiB), what lies beyond is
/// not known to be on it.
const THREAD_SIZE: u64 = 16 * 1024;

/// `SECCOMP_MODE_FILTER`. Beyond is `SECCOMP_MODE_DEAD`: seccomp has ended the task.
const SECCOMP_FILTERS: u32 = 2;

/// Bits 0 to 6 of a wait status: the signal that ended the process.
pub(crate) const SIGNAL_MASK: u32 = 0x7f;

/// A `struct task_struct`: one thread.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct TaskPtr(Address);

impl TaskPtr {
    /// Returns the task at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns the task that runs.
    #[inline(always)]
    pub(crate) fn current() -> Self {
        // SAFETY: the helper has no preconditions.
        Self(unsafe { bpf_get_current_task() })
    }

    /// Returns where the task is.
    #[inline(always)]
    pub(crate) fn address(self) -> Address {
        self.0
    }

    /// Returns the id of the thread.
    #[inline(always)]
    pub(crate) fn thread_id(self) -> u32 {
        read(self.0, &LAYOUT.task.pid)
    }

    /// Returns the id of its process.
    #[inline(always)]
    pub(crate) fn pid(self) -> u32 {
        read(self.0, &LAYOUT.task.tgid)
    }

    /// Returns whether seccomp filters decide which calls it may make, or have ended it.
    #[inline(always)]
    pub(crate) fn is_filtered(self) -> bool {
        read::<u32>(self.0, &LAYOUT.task.seccomp_mode) >= SECCOMP_FILTERS
    }

    /// Returns whether its filters let a call pass whatever the arguments are, `None` when the kernel does not know. The
    /// newest filter knows for those before it, too. Kernel 5.11 and later.
    #[inline(always)]
    pub(crate) fn filter_always_allows(self, call: u32) -> Option<bool> {
        let bits = layout(&LAYOUT.privilege.always_allowed).get()? as u64;
        let filter: Address = read_known(self.0, &LAYOUT.task.seccomp_filter)?;
        let word: u64 = read_at(filter + bits + u64::from(call / 64) * 8);
        Some(word >> (call % 64) & 1 == 1)
    }

    /// Returns the capabilities that it has in its user namespace, a bit for each, `None` when the kernel does not tell.
    #[inline(always)]
    pub(crate) fn effective_capabilities(self) -> Option<u64> {
        let cred: Address = read_known(self.0, &LAYOUT.task.cred)?;
        read_known(cred, &LAYOUT.privilege.effective)
    }

    /// Returns when its process started, by CLOCK_MONOTONIC.
    #[inline(always)]
    pub(crate) fn start_ktime_ns(self) -> u64 {
        read(self.leader(), &LAYOUT.task.start_time)
    }

    /// Returns the process of its process's parent.
    #[inline(always)]
    pub(crate) fn parent_pid(self) -> u32 {
        let parent: Address = read(self.leader(), &LAYOUT.task.real_parent);
        read(parent, &LAYOUT.task.tgid)
    }

    /// Returns whether its process is process 1 of a pid namespace below the first.
    #[inline(always)]
    pub(crate) fn is_container_init(self) -> bool {
        let (level, namespace_pid) = self.namespace_pid();
        level > 0 && namespace_pid == 1
    }

    /// Writes who the task's process is to `to`.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes.
    #[inline(always)]
    pub(crate) unsafe fn describe(self, to: *mut Process) {
        let leader = self.leader();
        let (level, namespace_pid) = self.namespace_pid();
        // SAFETY: as promised by the caller.
        unsafe {
            (*to).start_ktime_ns = self.start_ktime_ns();
            (*to).pid = self.pid();
            (*to).namespace_pid = namespace_pid;
            (*to).parent_pid = self.parent_pid();
            (*to).container_init = u32::from(level > 0 && namespace_pid == 1);
            read_comm(leader, &raw mut (*to).comm);
        }
    }

    /// Returns the ids of the task's cgroups.
    #[inline(always)]
    pub(crate) fn cgroups(self) -> CgroupIds {
        let memory = self.memory_css().cgroup();
        CgroupIds {
            memory: memory.id(),
            unified: CgroupPtr::at(read(self.css_set(), &LAYOUT.cgroup.unified)).id(),
            memory_hierarchy: memory.hierarchy(),
            reserved: 0,
        }
    }

    /// Returns whether `pointer` leads to its kernel stack: then it is the task that runs there, not an interrupt, which
    /// has a stack of its own.
    #[inline(always)]
    pub(crate) fn has_on_stack(self, pointer: *const u8) -> bool {
        // Through memory, after which it is a number to the verifier.
        let address: Address = read_at((&raw const pointer) as Address);
        let stack: Address = read(self.0, &LAYOUT.task.stack);
        stack != 0 && address.wrapping_sub(stack) < THREAD_SIZE
    }

    /// Returns the name of its process.
    #[inline(always)]
    pub(crate) fn comm(self) -> [u8; MAX_COMM] {
        read(self.leader(), &LAYOUT.task.comm)
    }

    /// Returns its network namespace, none when it is ending.
    #[inline(always)]
    pub(crate) fn netns(self) -> NetnsPtr {
        let namespaces: Address = read(self.0, &LAYOUT.task.nsproxy);
        NetnsPtr::at(read(namespaces, &LAYOUT.packet.task_netns))
    }

    /// Returns the inode of its mount namespace, 0 when that cannot be told.
    #[inline(always)]
    pub(crate) fn mount_namespace(self) -> u32 {
        let namespaces: Address = read(self.0, &LAYOUT.task.nsproxy);
        let mounts: Address = read(namespaces, &LAYOUT.file.task_namespace);
        read(mounts, &LAYOUT.file.namespace_inode)
    }

    /// Returns the id of the cgroup that names its process on this node.
    #[inline(always)]
    pub(crate) fn identity_cgroup(self) -> u64 {
        if layout(&LAYOUT.identity_hierarchy) == 0 {
            CgroupPtr::at(read(self.css_set(), &LAYOUT.cgroup.unified)).id()
        } else {
            self.memory_css().cgroup().id()
        }
    }

    /// Returns its state, of the constants of `include/linux/sched.h`.
    #[inline(always)]
    pub(crate) fn state(self) -> u32 {
        read(self.0, &LAYOUT.wait.state)
    }

    /// Returns whether it runs right now. An `int` until 7.x made it a byte with others behind it; the first byte
    /// tells on all of them.
    #[inline(always)]
    pub(crate) fn is_on_cpu(self) -> bool {
        read::<u8>(self.0, &LAYOUT.wait.on_cpu) != 0
    }

    /// Returns where its kernel stack begins.
    #[inline(always)]
    pub(crate) fn stack(self) -> Address {
        read(self.0, &LAYOUT.wait.stack)
    }

    /// Returns how often it has given up a CPU.
    #[inline(always)]
    pub(crate) fn switches(self) -> u64 {
        read(self.0, &LAYOUT.wait.switches)
    }

    /// Returns whether it has no address space of its own.
    #[inline(always)]
    pub(crate) fn is_kernel_thread(self) -> bool {
        read::<Address>(self.0, &LAYOUT.task.mm) == 0
    }

    /// Returns the state of its cgroup in the memory controller.
    #[inline(always)]
    pub(crate) fn memory_css(self) -> MemoryCss {
        MemoryCss::at(read(self.css_set(), &LAYOUT.cgroup.memory_css))
    }

    /// Returns what its process holds. Counts that CPUs have not yet added up are missing: up to
    /// some 64 pages for each CPU.
    #[inline(always)]
    pub(crate) fn resident(self) -> ResidentPages {
        let mm: Address = read(self.0, &LAYOUT.task.mm);
        ResidentPages {
            anon: not_negative(read(mm, &LAYOUT.memory.mm_anon)),
            file: not_negative(read(mm, &LAYOUT.memory.mm_file)),
            shmem: not_negative(read(mm, &LAYOUT.memory.mm_shmem)),
            swap: not_negative(read(mm, &LAYOUT.memory.mm_swap)),
        }
    }

    /// Returns its process's bias in the choice of victims.
    #[inline(always)]
    pub(crate) fn oom_score_adj(self) -> i32 {
        i32::from(read::<i16>(self.process(), &LAYOUT.process.oom_score_adj))
    }

    /// Returns whether no thread of its process is left.
    #[inline(always)]
    pub(crate) fn is_group_dead(self) -> bool {
        read::<i32>(self.process(), &LAYOUT.process.live) == 0
    }

    /// Returns whether its process is to end as a whole.
    #[inline(always)]
    pub(crate) fn is_group_exiting(self) -> bool {
        read::<u32>(self.process(), &LAYOUT.process.flags) & SIGNAL_GROUP_EXIT != 0
    }

    /// Returns the signal that its process is to end by as a whole, 0 when by itself; `None` when it is not to,
    /// or the kernel does not tell.
    #[inline(always)]
    pub(crate) fn group_exit_signal(self) -> Option<u32> {
        if !self.is_group_exiting() {
            return None;
        }
        let status: u32 = read_known(self.process(), &LAYOUT.process.group_exit_code)?;
        Some(status & SIGNAL_MASK)
    }

    /// Returns how its process ended, as wait(2) tells it.
    #[inline(always)]
    pub(crate) fn wait_status(self) -> u32 {
        if self.is_group_exiting() {
            read(self.process(), &LAYOUT.process.group_exit_code)
        } else {
            read(self.leader(), &LAYOUT.task.exit_code)
        }
    }

    /// Returns how deep its process's pid namespace is below the first, and its id there.
    #[inline(always)]
    fn namespace_pid(self) -> (u32, u32) {
        let pid: Address = read(self.process(), &LAYOUT.process.tgid_pid);
        let level: u32 = read(pid, &LAYOUT.process.pid_level);
        let Some(number) = layout(&LAYOUT.process.pid_number).get() else {
            return (0, 0);
        };
        let element = u64::from(level) * u64::from(layout(&LAYOUT.pid_number_size));
        (
            level,
            read_at(pid.wrapping_add(number as u64).wrapping_add(element)),
        )
    }

    #[inline(always)]
    fn leader(self) -> Address {
        read(self.0, &LAYOUT.task.group_leader)
    }

    #[inline(always)]
    fn process(self) -> Address {
        read(self.0, &LAYOUT.task.signal)
    }

    #[inline(always)]
    pub(super) fn css_set(self) -> Address {
        read(self.0, &LAYOUT.task.cgroups)
    }
}

/// A counter spread over CPUs may be below zero for a moment.
#[inline(always)]
fn not_negative(count: i64) -> u64 {
    if count < 0 { 0 } else { count as u64 }
}

/// # Safety
///
/// `to` is valid for writes.
#[inline(always)]
unsafe fn read_comm(task: Address, to: *mut [u8; MAX_COMM]) {
    let Some(offset) = layout(&LAYOUT.task.comm).get() else {
        // SAFETY: as promised by the caller.
        unsafe { *to = [0; MAX_COMM] };
        return;
    };
    // SAFETY: `to` has room for as many bytes; the helper checks the source and zeroes `to` on failure.
    unsafe {
        bpf_probe_read_kernel(
            to.cast(),
            MAX_COMM as u32,
            task.wrapping_add(offset as u64) as *const _,
        );
    }
}
