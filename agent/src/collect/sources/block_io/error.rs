//! Names what a request failed with, in the words of the kernel's log.

use crate::syscalls::errno_name;

/// `blk_status_t` of `include/linux/blk_types.h`, from 1 on; the first 17 have kept their numbers since 4.13, but for those that
/// say that a request is to be tried again, which end none.
const STATUSES: [&str; 10] = [
    "operation not supported",
    "timeout",
    "critical space allocation",
    "recoverable transport",
    "critical target",
    "reservation conflict",
    "critical medium",
    "protection",
    "kernel resource",
    "I/O",
];

/// Returns the name of `error`: a status, or a negated errno. A number when the kernel has a new one.
pub(super) fn name(error: i32) -> String {
    if error < 0 {
        return errno_name(error.unsigned_abs());
    }
    let status = usize::try_from(error)
        .ok()
        .and_then(|error| error.checked_sub(1));
    let known = status.and_then(|status| STATUSES.get(status));
    known.map_or_else(|| format!("status {error}"), |name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_statuses_and_errnos() {
        for (error, expected) in [
            (10, "I/O"),
            (7, "critical medium"),
            (1, "operation not supported"),
            (0, "status 0"),
            (200, "status 200"),
            (-5, "EIO"),
            (-28, "ENOSPC"),
        ] {
            assert_eq!(name(error), expected);
        }
    }
}
