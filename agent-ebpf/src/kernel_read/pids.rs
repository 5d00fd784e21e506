//! Reads cgroups and their state in the pids controller.

use inquest_agent_abi::{MAX_PIDS_LEVELS, PidsLevel};

use super::{Address, CgroupPtr, TaskPtr, read};
use crate::maps::LAYOUT;

/// Writes the pids cgroups of `task` to `levels`, its own first; returns how many there are and their hierarchy.
///
/// # Safety
///
/// `levels` is valid for writes.
#[inline(always)]
pub(crate) unsafe fn describe_pids_levels(
    task: TaskPtr,
    levels: *mut [PidsLevel; MAX_PIDS_LEVELS],
) -> (u32, u32) {
    let mut css: Address = read(task.css_set(), &LAYOUT.pids.css);
    let hierarchy = cgroup(css).hierarchy();
    let mut len = 0;
    for index in 0..MAX_PIDS_LEVELS {
        if css == 0 {
            break;
        }
        // SAFETY: as promised by the caller; the index is below the length.
        unsafe {
            let level = levels.cast::<PidsLevel>().add(index);
            (*level).cgroup = cgroup(css).id();
            (*level).current = read(css, &LAYOUT.pids.current);
            (*level).max = read(css, &LAYOUT.pids.max);
        }
        len += 1;
        css = read(css, &LAYOUT.cgroup.css_parent);
    }
    (len, hierarchy)
}

#[inline(always)]
fn cgroup(css: Address) -> CgroupPtr {
    CgroupPtr::at(read(css, &LAYOUT.cgroup.css_cgroup))
}
