//! Reads the open files of the current process.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use inquest_agent_abi::MAX_ARGUMENT;

use super::{Address, TaskPtr, descriptor, layout, read};
use crate::maps::{LAYOUT, MOUNT_WALK};

/// Steps up a tree of directories and mounts; a mount point in a container is a handful below its root.
const MAX_STEPS: usize = 20;

/// The kernel's pointers that are errors begin this far below 0.
const MAX_ERRNO: i64 = 4095;

/// Bytes of one name that are kept, its NUL included. A power of two, and a name may begin below it.
const MAX_NAME: usize = 64;

/// Where a name may begin, as bits. Read where it is: the compiler knows that no name begins elsewhere and would leave out
/// what tells the verifier of 5.10 so.
static NAME_START: u64 = MAX_NAME as u64 - 1;

const _: () = assert!(2 * MAX_NAME <= MAX_ARGUMENT && MAX_NAME.is_power_of_two());

/// How far a walk up from a mounted file system has come. In a map rather than in registers: the verifier knows nothing
/// of it, so to it one step is like the other, where 5.10 would follow each course of twenty.
#[derive(Clone, Copy)]
pub(crate) struct MountWalk {
    mount: Address,
    root: Address,
    entry: Address,
    /// Bytes of names so far.
    len: u64,
}

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
    /// Returns whether that is the whole way: names may be too many or too long, or the kernel may not tell. The walk is
    /// made at `place`.
    ///
    /// # Safety
    ///
    /// `to` is valid for writes, and `place` this program's.
    #[inline(always)]
    pub(crate) unsafe fn read_mount_point(self, place: u32, to: *mut [u8; MAX_ARGUMENT]) -> bool {
        let mount: Address = read(self.0, &LAYOUT.file.mount);
        let Some(public) = layout(&LAYOUT.file.mount_public).get() else {
            return false;
        };
        if mount == 0 {
            return false;
        }
        let mount = mount.wrapping_sub(public as u64);
        // Sockets and pipes live on file systems that are mounted nowhere, which is nothing or an error.
        let namespace: i64 = read(mount, &LAYOUT.file.mount_namespace);
        if (-MAX_ERRNO..=0).contains(&namespace) {
            return false;
        }
        let Some(walk) = MOUNT_WALK.get_ptr_mut(place) else {
            return false;
        };
        let root = root_of(mount, public);
        // SAFETY: the walk is this CPU's and this program's, which does not interrupt itself.
        unsafe {
            walk.write_volatile(MountWalk {
                mount,
                root,
                entry: root,
                len: 0,
            });
        }
        for _ in 0..MAX_STEPS {
            // SAFETY: as promised by the caller, and as above.
            match unsafe { step(walk, public, to) } {
                Step::Up => {}
                Step::Arrived => return true,
                Step::Lost => return false,
            }
        }
        false
    }
}

/// What came of one step.
enum Step {
    Up,
    Arrived,
    /// A name is too long or missing.
    Lost,
}

/// Goes from the root of a mount to where that is mounted, or from a directory to the one above, whose name is
/// written to `to`.
///
/// # Safety
///
/// `walk` is valid for reads and writes, `to` for writes.
#[inline(always)]
unsafe fn step(walk: *mut MountWalk, public: usize, to: *mut [u8; MAX_ARGUMENT]) -> Step {
    // SAFETY: as promised by the caller; a name has room where it may begin, and the helper checks its source.
    unsafe {
        let MountWalk {
            mount,
            root,
            entry,
            len,
        } = walk.read_volatile();
        if entry == root {
            let parent: Address = read(mount, &LAYOUT.file.mount_parent);
            if parent == mount {
                return Step::Arrived;
            }
            walk.write_volatile(MountWalk {
                mount: parent,
                root: root_of(parent, public),
                entry: read(mount, &LAYOUT.file.mount_place),
                len,
            });
            return Step::Up;
        }
        if len >= MAX_NAME as u64 {
            return Step::Lost;
        }
        let name: Address = read(entry, &LAYOUT.file.entry_name);
        let at = to.cast::<u8>().add((len & layout(&NAME_START)) as usize);
        let copied = bpf_probe_read_kernel_str(at.cast(), MAX_NAME as u32, name as *const _);
        // One that fills its place may have been cut; a directory that was removed leads nowhere.
        if copied <= 1 || copied >= MAX_NAME as i64 {
            return Step::Lost;
        }
        (&raw mut (*walk).len).write_volatile(len + copied as u64);
        let above: Address = read(entry, &LAYOUT.file.entry_parent);
        (&raw mut (*walk).entry).write_volatile(above);
        Step::Up
    }
}

/// Returns the directory that a `struct mount` shows.
#[inline(always)]
fn root_of(mount: Address, public: usize) -> Address {
    read(mount.wrapping_add(public as u64), &LAYOUT.file.mount_root)
}
