//! The table of calls and errors that explain why a container failed, and where a call's argument says what it was
//! about. Must not know what is noise.

use inquest_agent_abi::{Argument, SyscallPolicy};

use super::{call_of, errnos};

/// Calls by what their argument is; those that make a task come first, as their places do. A name that an architecture
/// does not have stands for nothing there.
const CALLS: &[(Argument, &[&str])] = &[
    (Argument::FORK, &["clone", "clone3", "fork", "vfork"]),
    (
        Argument::PATH_FIRST,
        &[
            "access", "acct", "chdir", "chmod", "chown", "chroot", "creat", "lchown", "link",
            "lstat", "mkdir", "mknod", "open", "readlink", "rename", "rmdir", "stat", "statfs",
            "swapon", "symlink", "truncate", "unlink", "umount2",
        ],
    ),
    (
        Argument::PATH_SECOND,
        &[
            "faccessat",
            "faccessat2",
            "fchmodat",
            "fchmodat2",
            "fchownat",
            "linkat",
            "mkdirat",
            "mknodat",
            "mount",
            "newfstatat",
            "openat",
            "openat2",
            "pivot_root",
            "readlinkat",
            "renameat",
            "renameat2",
            "statx",
            "symlinkat",
            "unlinkat",
        ],
    ),
    (Argument::ADDRESS_SECOND, &["bind", "connect"]),
    (Argument::ADDRESS_FIFTH, &["sendto"]),
    (
        Argument::FILE,
        &[
            "fallocate",
            "fchdir",
            "fchmod",
            "fchown",
            "fdatasync",
            "flock",
            "fsync",
            "ftruncate",
            "getdents64",
            "pread64",
            "preadv",
            "preadv2",
            "pwrite64",
            "pwritev",
            "pwritev2",
            "read",
            "readv",
            "sync_file_range",
            "write",
            "writev",
        ],
    ),
    (Argument::EXEC_FIRST, &["execve"]),
    (Argument::EXEC_SECOND, &["execveat"]),
    (
        Argument::NONE,
        &[
            "accept",
            "accept4",
            "brk",
            "dup",
            "dup2",
            "dup3",
            "epoll_create1",
            "eventfd2",
            "inotify_add_watch",
            "inotify_init1",
            "listen",
            "memfd_create",
            "mlock",
            "mmap",
            "mprotect",
            "mremap",
            "pidfd_open",
            "pipe2",
            "prlimit64",
            "sendmmsg",
            "sendmsg",
            "setgid",
            "setgroups",
            "setns",
            "setpriority",
            "setrlimit",
            "setsockopt",
            "setuid",
            "socket",
            "socketpair",
            "timerfd_create",
            "unshare",
        ],
    ),
];

/// Errors that end programs: something is missing, denied, full, exhausted, broken or unreachable.
const ERRNOS: &[&str] = &[
    "ENOENT",
    "EACCES",
    "EPERM",
    "ENOEXEC",
    "ENOTDIR",
    "EISDIR",
    "ELOOP",
    "ELIBBAD",
    "ETXTBSY",
    "ENOSPC",
    "EDQUOT",
    "EROFS",
    "EIO",
    "ESTALE",
    "EFBIG",
    "ENAMETOOLONG",
    "EUCLEAN",
    "ENODEV",
    "ENXIO",
    "EMFILE",
    "ENFILE",
    "ENOMEM",
    "EAGAIN",
    "ENOBUFS",
    "E2BIG",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "ECONNREFUSED",
    "ECONNRESET",
    "ENETUNREACH",
    "ENETDOWN",
    "EHOSTUNREACH",
    "EHOSTDOWN",
    "ETIMEDOUT",
    "EPIPE",
    "EAFNOSUPPORT",
    "EPROTONOSUPPORT",
    "ENOSYS",
];

/// Returns the calls of interest that this architecture has, by number, those that make a task first.
fn of_interest() -> impl Iterator<Item = (u32, Argument)> {
    CALLS.iter().flat_map(|(argument, names)| {
        let numbers = names.iter().filter_map(|name| call_of(name));
        numbers.map(|number| (number, *argument))
    })
}

/// Fills in what is remembered of which calls.
pub(super) fn fill(policy: &mut SyscallPolicy) {
    for ((call, argument), place) in of_interest().zip(0..) {
        let call = call as usize;
        if let Some(entry) = policy.arguments.get_mut(call) {
            *entry = argument;
        }
        if let Some(entry) = policy.places.get_mut(call) {
            *entry = place;
        }
    }
    for errno in ERRNOS.iter().filter_map(|name| errnos::errno_of(name)) {
        policy.remembered.set(errno, true);
    }
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::{MAX_CALLS_OF_INTEREST, MAX_FORK_CALLS};

    use super::*;

    #[test]
    fn every_name_of_the_table_is_known_and_listed_once() {
        let mut listed: Vec<&str> = CALLS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        if cfg!(target_arch = "x86_64") {
            let unknown: Vec<_> = listed
                .iter()
                .filter(|name| call_of(name).is_none())
                .collect();
            assert_eq!(unknown, Vec::<&&str>::new());
        }
        let count = listed.len();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), count);
        assert!(ERRNOS.iter().all(|name| errnos::errno_of(name).is_some()));
    }

    #[test]
    fn each_call_has_a_place_of_its_own_and_those_that_make_a_task_the_first() {
        let mut policy = Box::new(SyscallPolicy::NONE);
        fill(&mut policy);
        let mut places = Vec::new();
        for (call, argument) in of_interest() {
            let place = usize::from(policy.places[call as usize]);
            assert!(
                argument != Argument::FORK || place < MAX_FORK_CALLS,
                "{call}"
            );
            places.push(place);
        }
        assert_eq!(places, (0..places.len()).collect::<Vec<_>>());
        assert!(places.len() <= MAX_CALLS_OF_INTEREST);
    }

    #[test]
    fn reads_the_argument_that_the_call_is_about() {
        let mut policy = Box::new(SyscallPolicy::NONE);
        fill(&mut policy);
        for (call, argument) in [
            (libc::SYS_openat, Argument::PATH_SECOND),
            (libc::SYS_execve, Argument::EXEC_FIRST),
            (libc::SYS_connect, Argument::ADDRESS_SECOND),
            (libc::SYS_write, Argument::FILE),
            (libc::SYS_getpid, Argument::UNINTERESTING),
        ] {
            assert_eq!(policy.arguments[call as usize], argument);
        }
        assert!(policy.remembered.contains(libc::ENOSPC as u32));
        assert!(!policy.remembered.contains(libc::EINTR as u32));
    }
}
