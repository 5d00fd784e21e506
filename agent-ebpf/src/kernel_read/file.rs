//! Reads the open files of the current process.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use inquest_agent_abi::MAX_ARGUMENT;

use super::{Address, TaskPtr, descriptor, layout, read};
use crate::maps::LAYOUT;

/// Steps up a tree of directories and mounts; a mount point in a container is a handful below its root.
const MAX_STEPS: usize = 20;

/// The kernel's pointers that are errors begin this far below 0.
const MAX_ERRNO: i64 = 4095;

/// Bytes of one name that are kept, its NUL included; half of the room, so that one mask bounds both.
const MAX_NAME: usize = 64;
const _: () = assert!(MAX_ARGUMENT == 2 * MAX_NAME && MAX_NAME.is_power_of_two());

/// A `struct file`.
#[derive(Clone, Copy)]
pub(crate) struct OpenFile(Address);

impl OpenFile {
    /// Returns what the current process has open as `number`; nowhere when it has no such file.
    #[inline(always)]
    pub(crate) fn of_current(number: u32) -> Self {
        Self(descriptor::file(TaskPtr::current(), number))
    }

    /// Returns the device of the file system that it lives on, as the kernel keeps it; 0 when there is none.
    #[inline(always)]
    pub(crate) fn device(self) -> u32 {
        let inode: Address = read(self.0, &LAYOUT.wait.file_inode);
        read(read(inode, &LAYOUT.file.super_block), &LAYOUT.file.device)
    }

    /// Writes the names on the way from where its file system is mounted up to the root, each ended by NUL, to `to`.
    /// Returns whether that is the whole way: names may be too many or too long, or the kernel may not tell.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes.
    #[inline(always)]
    pub(crate) unsafe fn read_mount_point(self, to: *mut [u8; MAX_ARGUMENT]) -> bool {
        let mount: Address = read(self.0, &LAYOUT.file.mount);
        let Some(public) = layout(&LAYOUT.file.mount_public).get() else {
            return false;
        };
        if mount == 0 {
            return false;
        }
        let mut mount = mount.wrapping_sub(public as u64);
        // Sockets and pipes live on file systems that are mounted nowhere, which is nothing or an error.
        let namespace: i64 = read(mount, &LAYOUT.file.mount_namespace);
        if (-MAX_ERRNO..=0).contains(&namespace) {
            return false;
        }
        let mut root: Address = read(mount.wrapping_add(public as u64), &LAYOUT.file.mount_root);
        let mut entry = root;
        let mut len = 0;
        for _ in 0..MAX_STEPS {
            if entry == root {
                let parent: Address = read(mount, &LAYOUT.file.mount_parent);
                if parent == mount || parent == 0 {
                    return parent != 0;
                }
                entry = read(mount, &LAYOUT.file.mount_place);
                mount = parent;
                root = read(mount.wrapping_add(public as u64), &LAYOUT.file.mount_root);
                continue;
            }
            if len >= MAX_ARGUMENT - MAX_NAME {
                return false;
            }
            // 5.10 forgets the bound of a number that it has put on the stack: told again, where the compiler cannot
            // take it for known.
            let at = core::hint::black_box(len) & (MAX_NAME - 1);
            let name: Address = read(entry, &LAYOUT.file.entry_name);
            // SAFETY: there is room for the longest name at `len`; the helper checks the source.
            let copied = unsafe {
                let at = to.cast::<u8>().add(at);
                bpf_probe_read_kernel_str(at.cast(), MAX_NAME as u32, name as *const _)
            };
            // One that fills its place may have been cut; a directory that was removed leads nowhere.
            if copied <= 1 || copied >= MAX_NAME as i64 {
                return false;
            }
            len += copied as usize & (MAX_NAME - 1);
            entry = read(entry, &LAYOUT.file.entry_parent);
        }
        false
    }
}
