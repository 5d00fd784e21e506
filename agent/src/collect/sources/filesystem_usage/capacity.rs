//! Asks a file system of a process how much room it has. May wait for ever: a server may be gone.

use std::io;

use rustix::fs::{Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstatvfs, open, openat2};

/// Where to look: a mount point in a process's own view.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) pid: u32,
    pub(super) mount_point: String,
}

/// How much room there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Capacity {
    pub(super) size_bytes: u64,
    /// For processes without privileges.
    pub(super) available_bytes: u64,
    /// 0 where inodes are not counted.
    pub(super) inodes: u64,
    pub(super) inodes_free: u64,
    pub(super) read_only: bool,
}

/// Asks. Symbolic links of the container lead nowhere outside of it.
pub(super) fn ask(question: Question) -> io::Result<Capacity> {
    let place = OFlags::PATH | OFlags::CLOEXEC;
    let root = open(format!("/proc/{}/root", question.pid), place, Mode::empty())?;
    let relative = match question.mount_point.trim_start_matches('/') {
        "" => ".",
        relative => relative,
    };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let place = openat2(root, relative, place, Mode::empty(), resolve)?;
    let told = fstatvfs(place)?;
    Ok(Capacity {
        size_bytes: told.f_blocks.saturating_mul(told.f_frsize),
        available_bytes: told.f_bavail.saturating_mul(told.f_frsize),
        inodes: told.f_files,
        inodes_free: told.f_ffree,
        read_only: told.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

impl Capacity {
    /// Returns whether a tenth of space or inodes is left at most.
    pub(super) fn is_nearly_full(self) -> bool {
        self.free_permille() <= 100
    }

    /// Returns whether less than a hundredth is left: writes fail, or soon will.
    pub(super) fn is_used_up(self) -> bool {
        self.free_permille() < 10
    }

    /// Returns what is left, of space or of inodes, whichever is less, in thousandths.
    pub(super) fn free_permille(self) -> u64 {
        let space = permille(self.available_bytes, self.size_bytes);
        space.min(permille(self.inodes_free, self.inodes))
    }
}

/// What is not counted has no end.
fn permille(free: u64, all: u64) -> u64 {
    if all == 0 {
        return 1000;
    }
    let share = u128::from(free) * 1000 / u128::from(all);
    u64::try_from(share).unwrap_or(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_the_root_of_this_process() {
        let question = |mount_point: &str| Question {
            pid: std::process::id(),
            mount_point: mount_point.to_owned(),
        };
        let root = ask(question("/")).unwrap();
        assert!(root.size_bytes >= root.available_bytes);
        // The kernel's own file systems hold nothing.
        assert_eq!(ask(question("/proc")).unwrap().size_bytes, 0);
        assert!(ask(question("/no/such/place")).is_err());
    }

    #[test]
    fn tells_how_full_by_what_runs_out_first() {
        let of = |available_bytes, inodes, inodes_free| Capacity {
            size_bytes: 1000,
            available_bytes,
            inodes,
            inodes_free,
            read_only: false,
        };
        for (capacity, nearly_full, used_up) in [
            (of(500, 100, 50), false, false),
            (of(100, 100, 50), true, false),
            (of(9, 100, 50), true, true),
            (of(500, 1000, 9), true, true),
            (of(500, 0, 0), false, false),
            (Capacity::default(), false, false),
        ] {
            assert_eq!(capacity.is_nearly_full(), nearly_full, "{capacity:?}");
            assert_eq!(capacity.is_used_up(), used_up, "{capacity:?}");
        }
    }
}
