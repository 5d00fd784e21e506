//! Reads cgroups and their state in the memory controller.

use inquest_agent_abi::{MAX_CGROUP_NAME, MemoryCgroup, Offset};

use super::{Address, read, read_known, read_text};
use crate::maps::LAYOUT;

/// A `struct cgroup`.
#[derive(Clone, Copy)]
pub(crate) struct CgroupPtr(Address);

impl CgroupPtr {
    /// Returns the cgroup at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns the inode of its directory.
    #[inline(always)]
    pub(crate) fn id(self) -> u64 {
        read(self.node(), &LAYOUT.cgroup.node_id)
    }

    /// Returns the number of its hierarchy, 0 for v2.
    #[inline(always)]
    pub(crate) fn hierarchy(self) -> u32 {
        let root: Address = read(self.0, &LAYOUT.cgroup.root);
        read(root, &LAYOUT.cgroup.hierarchy_id)
    }

    /// Writes the last component of its path to `to`.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes.
    #[inline(always)]
    pub(crate) unsafe fn read_name(self, to: *mut [u8; MAX_CGROUP_NAME]) {
        let name: Address = read(self.node(), &LAYOUT.cgroup.node_name);
        // SAFETY: as promised by the caller.
        unsafe { read_text(name, to) };
    }

    #[inline(always)]
    fn node(self) -> Address {
        read(self.0, &LAYOUT.cgroup.node)
    }
}

/// A `struct cgroup_subsys_state` of the memory controller, which is the start of a `struct mem_cgroup`.
#[derive(Clone, Copy)]
pub(crate) struct MemoryCss(Address);

impl MemoryCss {
    /// Returns the state at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns the level above, `None` above the root.
    #[inline(always)]
    pub(crate) fn parent(self) -> Option<Self> {
        let parent: Address = read(self.0, &LAYOUT.cgroup.css_parent);
        if parent == 0 {
            None
        } else {
            Some(Self(parent))
        }
    }

    /// Returns the cgroup whose state this is.
    #[inline(always)]
    pub(crate) fn cgroup(self) -> CgroupPtr {
        CgroupPtr(read(self.0, &LAYOUT.cgroup.css_cgroup))
    }

    /// Writes the level's name, id and counters to `to`.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes.
    #[inline(always)]
    pub(crate) unsafe fn describe(self, to: *mut MemoryCgroup) {
        let cgroup = self.cgroup();
        // SAFETY: as promised by the caller.
        unsafe {
            (*to).id = cgroup.id();
            (*to).usage_pages = read(self.0, &LAYOUT.memory.usage);
            (*to).max_pages = self.limit(&LAYOUT.memory.max);
            (*to).memsw_usage_pages = read(self.0, &LAYOUT.memory.memsw_usage);
            (*to).memsw_max_pages = self.limit(&LAYOUT.memory.memsw_max);
            (*to).failcnt = read(self.0, &LAYOUT.memory.failcnt);
            (*to).oom_events = self.oom_events();
            (*to).oom_group = u32::from(read::<u8>(self.0, &LAYOUT.memory.oom_group));
            (*to).reserved = 0;
            cgroup.read_name(&raw mut (*to).name);
        }
    }

    /// Reads a limit; a kernel without the field has none.
    #[inline(always)]
    fn limit(self, field: &'static Offset) -> u64 {
        read_known(self.0, field).unwrap_or(u64::MAX)
    }

    #[inline(always)]
    fn oom_events(self) -> u64 {
        read_known(self.0, &LAYOUT.memory.oom_events).unwrap_or(MemoryCgroup::OOM_EVENTS_UNKNOWN)
    }
}
