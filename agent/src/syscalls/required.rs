//! The table of calls that one capability alone decides on: what a caller without it was refused for, on kernels that do
//! not tell what they ask a thread for. Must not hold calls that something else refuses with the same error.

use inquest_agent_abi::{Requirement, SyscallPolicy};

use super::{call_of, capabilities::capability_of};

const EPERM: u8 = libc::EPERM as u8;
const EACCES: u8 = libc::EACCES as u8;

/// Capability, error of a caller without it, and calls. What else those may ask for they do not need: a port from 1024 on,
/// a file instead of a device, an id that is the caller's own.
const CALLS: &[(&str, u8, &[&str])] = &[
    ("CAP_SETGID", EPERM, &["setgid", "setgroups"]),
    ("CAP_SETUID", EPERM, &["setuid"]),
    ("CAP_NET_BIND_SERVICE", EACCES, &["bind"]),
    ("CAP_NET_RAW", EPERM, &["socket"]),
    (
        "CAP_SYS_MODULE",
        EPERM,
        &["delete_module", "finit_module", "init_module"],
    ),
    ("CAP_SYS_RAWIO", EPERM, &["ioperm", "iopl"]),
    ("CAP_SYS_CHROOT", EPERM, &["chroot"]),
    ("CAP_SYS_PACCT", EPERM, &["acct"]),
    (
        "CAP_SYS_ADMIN",
        EPERM,
        &[
            "fsmount",
            "fsopen",
            "mount",
            "move_mount",
            "open_tree",
            "pivot_root",
            "setdomainname",
            "sethostname",
            "setns",
            "swapoff",
            "swapon",
            "umount2",
            "unshare",
        ],
    ),
    (
        "CAP_SYS_BOOT",
        EPERM,
        &["kexec_file_load", "kexec_load", "reboot"],
    ),
    (
        "CAP_SYS_TIME",
        EPERM,
        &["adjtimex", "clock_adjtime", "clock_settime", "settimeofday"],
    ),
    ("CAP_SYS_TTY_CONFIG", EPERM, &["vhangup"]),
    ("CAP_MKNOD", EPERM, &["mknod", "mknodat"]),
    ("CAP_SYSLOG", EPERM, &["syslog"]),
];

/// Fills in what calls require.
pub(super) fn fill(policy: &mut SyscallPolicy) {
    for (capability, errno, names) in CALLS {
        let Some(capability) = capability_of(capability) else {
            continue;
        };
        let requirement = Requirement {
            errno: *errno,
            capability,
        };
        for call in names.iter().filter_map(|name| call_of(name)) {
            if let Some(entry) = policy.required.get_mut(call as usize) {
                *entry = requirement;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_is_known_and_every_call_listed_once() {
        let calls = CALLS.iter().flat_map(|(.., names)| *names);
        let mut listed: Vec<&str> = calls.copied().collect();
        if cfg!(target_arch = "x86_64") {
            let unknown: Vec<_> = listed
                .iter()
                .filter(|name| call_of(name).is_none())
                .collect();
            assert_eq!(unknown, Vec::<&&str>::new());
        }
        for (capability, ..) in CALLS {
            assert!(capability_of(capability).is_some(), "{capability}");
        }
        let count = listed.len();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), count);
    }

    #[test]
    fn a_call_requires_a_capability_by_an_error_or_nothing() {
        let mut policy = Box::new(SyscallPolicy::NONE);
        fill(&mut policy);
        for (call, errno, capability) in [
            (libc::SYS_mount, EPERM, 21),
            (libc::SYS_bind, EACCES, 10),
            (libc::SYS_openat, 0, 0),
        ] {
            let required = policy.required[call as usize];
            assert_eq!(required, Requirement { errno, capability });
        }
    }
}
