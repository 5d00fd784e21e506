//! Counts forks that were refused, with the limits of tasks that held at the first of them.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use inquest_agent_abi::{Counted, RefusedForks, RefusedForksKey};

use super::Failure;
use crate::{
    count::{add, entry, generation, uncounted},
    kernel_read::{TaskPtr, describe_pids_levels},
    maps::{FORKS_REFUSED, FORKS_SCRATCH},
};

/// A fork that would exceed a limit.
const EAGAIN: u32 = 11;

#[inline(always)]
pub(super) fn count(failure: Failure) {
    if failure.errno != EAGAIN {
        return;
    }
    let key = RefusedForksKey {
        cgroup: failure.cgroup,
        generation: generation(Counted::RefusedForks),
        reserved: 0,
    };
    let Some(forks) = FORKS_REFUSED
        .get_ptr_mut(key)
        .or_else(|| begin(&key, failure.place))
    else {
        uncounted(Counted::RefusedForks);
        return;
    };
    // SAFETY: the agent removes none of the present generation.
    unsafe { add(&raw mut (*forks).count, 1) };
}

/// Makes an entry that tells who was refused, and which limits there are; `None` when there is no room.
#[inline(always)]
fn begin(key: &RefusedForksKey, place: u32) -> Option<*mut RefusedForks> {
    let forks = FORKS_SCRATCH.get_ptr_mut(place)?;
    let task = TaskPtr::current();
    // SAFETY: the scratch is this CPU's and this program's, which does not interrupt itself.
    unsafe {
        (*forks).count = 0;
        (*forks).ktime_ns = bpf_ktime_get_ns();
        task.describe(&raw mut (*forks).process);
        let (len, hierarchy) = describe_pids_levels(task, &raw mut (*forks).levels);
        (*forks).levels_len = len;
        (*forks).hierarchy = hierarchy;
        entry(&FORKS_REFUSED, key, &*forks)
    }
}
