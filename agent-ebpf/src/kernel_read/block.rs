//! Reads requests to block devices.

use super::{Address, CgroupPtr, read};
use crate::maps::LAYOUT;

/// A `struct request`.
#[derive(Clone, Copy)]
pub(crate) struct BlockRequestPtr(Address);

impl BlockRequestPtr {
    /// Returns the request at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns where it is: what tells it from others while it is under way.
    #[inline(always)]
    pub(crate) fn address(self) -> Address {
        self.0
    }

    /// Returns the number of its disk, the major one from bit 20 on.
    #[inline(always)]
    pub(crate) fn device(self) -> u32 {
        let disk = self.disk();
        let major: u32 = read(disk, &LAYOUT.block.disk_major);
        let minor: u32 = read(disk, &LAYOUT.block.disk_minor);
        major << 20 | minor
    }

    /// Returns the cgroup of the block I/O controller that it is for, `None` when that is the root: it says no more than
    /// that none below has the controller.
    #[inline(always)]
    pub(crate) fn cgroup(self) -> Option<CgroupPtr> {
        let bio: Address = read(self.0, &LAYOUT.block.bio);
        let group: Address = read(bio, &LAYOUT.block.bio_group);
        let css: Address = read(group, &LAYOUT.block.group_css);
        let parent: Address = read(css, &LAYOUT.cgroup.css_parent);
        if parent == 0 {
            return None;
        }
        Some(CgroupPtr::at(read(css, &LAYOUT.cgroup.css_cgroup)))
    }

    #[inline(always)]
    fn disk(self) -> Address {
        let queue: Address = read(self.0, &LAYOUT.block.queue);
        let disk: Address = read(queue, &LAYOUT.block.queue_disk);
        if disk == 0 {
            read(self.0, &LAYOUT.block.request_disk)
        } else {
            disk
        }
    }
}
