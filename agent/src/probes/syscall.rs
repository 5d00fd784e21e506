//! The probe of failed system calls.

use inquest_agent_abi::Meter;

use super::{Family, Probe, Returns, returns::Return};
use crate::syscalls::{call_of, function_of};

/// Any program on this hook sends every system call of the node through the kernel's slow path, in and out:
/// measured on 6.18 with an empty program, less its own run.
const SLOW_PATH_NS: u32 = 80;

/// What one more return of a function costs: as much, but for those functions alone. Measured in an emulator beside the other
/// hook, at 1.0 to 1.7 times its cost; where programs may be at returns, no machine was at hand.
const RETURN_NS: u32 = SLOW_PATH_NS;

pub(super) const PROBE: Probe = Probe {
    family: Family::Syscall,
    name: "sys_exit",
    category: "raw_syscalls",
    programs: ["syscall_tp_btf", "syscall_raw_tp", "syscall_tracepoint"],
    stands_alone: false,
    has_fields: |fields| {
        [fields.sys_exit_id, fields.sys_exit_ret]
            .iter()
            .all(|field| field.get().is_some())
    },
    without: "which system calls failed, and what a container tried last before it ended",
    meter: Meter::SYS_EXIT,
    attached_ns: SLOW_PATH_NS,
};

pub(super) const RETURNS: Returns = Returns {
    functions,
    unseen: "other calls are not counted, nor those that seccomp refuses (`syscalls.all_calls: true` has all of them counted)",
    attached_ns: RETURN_NS,
};

/// The calls that are watched at the returns of their functions: those that explain most failures. Not all of interest, for
/// the kernel takes a tenth of a second to let go of each. A name that an architecture does not have stands for nothing there.
const WATCHED: &[&str] = &[
    // What is missing, forbidden or full.
    "access",
    "chdir",
    "execve",
    "execveat",
    "faccessat",
    "faccessat2",
    "fchmodat",
    "fchownat",
    "lstat",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "readlinkat",
    "rename",
    "renameat2",
    "stat",
    "statx",
    "unlink",
    "unlinkat",
    // What cannot be read or written.
    "fallocate",
    "fdatasync",
    "fsync",
    "ftruncate",
    "pread64",
    "pwrite64",
    "read",
    "write",
    "writev",
    // What cannot be reached or served.
    "accept4",
    "bind",
    "connect",
    "listen",
    "sendmsg",
    "sendto",
    "socket",
    // What there is not enough of.
    "brk",
    "epoll_create1",
    "inotify_add_watch",
    "inotify_init1",
    "mmap",
    "mprotect",
    "pipe2",
    // What takes privileges.
    "mount",
    "setgid",
    "setgroups",
    "setns",
    "setuid",
    "unshare",
];

/// The calls that make a task. On x86-64 they are watched at the function behind all of them: those without arguments (fork,
/// vfork) have functions of their own that no kernel gives a type.
const FORKS: &[&str] = &["clone", "clone3"];
const BEHIND_FORKS: &str = "kernel_clone";

/// Returns the functions that are watched.
fn functions() -> Vec<Return> {
    let own = |call: &&str| Return {
        program: "syscall_fexit",
        function: function_of(call),
    };
    let mut functions: Vec<_> = WATCHED
        .iter()
        .filter(|call| call_of(call).is_some())
        .map(own)
        .collect();
    if cfg!(target_arch = "x86_64") {
        functions.push(Return {
            program: "fork_fexit",
            function: BEHIND_FORKS.to_owned(),
        });
    } else {
        functions.extend(FORKS.iter().map(own));
    }
    functions
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::Argument;

    use super::*;
    use crate::syscalls::{IgnoreList, policy};

    #[test]
    fn each_watched_call_is_of_interest_and_watched_once() {
        let policy = policy(&IgnoreList::default());
        let mut functions: Vec<_> = functions().into_iter().map(|one| one.function).collect();
        for call in WATCHED.iter().chain(FORKS) {
            let number = call_of(call);
            let is_named = number.is_some() || cfg!(target_arch = "aarch64");
            assert!(is_named, "{call}");
            let argument = number.map(|number| policy.arguments[number as usize]);
            assert_ne!(argument, Some(Argument::UNINTERESTING), "{call}");
        }
        let count = functions.len();
        functions.sort_unstable();
        functions.dedup();
        assert_eq!(functions.len(), count);
    }

    #[test]
    fn the_manual_names_each_watched_call() {
        let manual = include_str!("../../../docs/signals.md");
        let (_, rest) = manual.split_once("| Watched by `fexit` |").unwrap();
        let (table, _) = rest.split_once("\n\n").unwrap();
        let words: Vec<&str> = table.split(['|', ',', '\n']).map(str::trim).collect();
        for call in WATCHED.iter().chain(FORKS) {
            assert!(words.contains(call), "{call}");
        }
    }

    #[test]
    fn chooses_the_function_that_the_kernel_gives_a_type() {
        let functions = functions();
        let program = |name: &str| {
            let found = functions.iter().find(|one| one.function == name);
            found.map(|one| one.program)
        };
        for (function, x86_64, aarch64) in [
            ("__x64_sys_openat", Some("syscall_fexit"), None),
            ("__x64_sys_newstat", Some("syscall_fexit"), None),
            ("__x64_sys_getppid", None, None),
            ("__x64_sys_clone", None, None),
            ("kernel_clone", Some("fork_fexit"), None),
            ("__arm64_sys_openat", None, Some("syscall_fexit")),
            ("__arm64_sys_clone", None, Some("syscall_fexit")),
            ("__arm64_sys_newstat", None, None),
        ] {
            let expected = if cfg!(target_arch = "aarch64") {
                aarch64
            } else {
                x86_64
            };
            assert_eq!(program(function), expected, "{function}");
        }
    }
}
