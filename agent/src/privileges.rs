//! What this process has been granted, and what cannot be told without each grant. Must not try to gain any, and must
//! not decide what is attempted: whoever attempts something is refused by the kernel, and says so.

use std::{collections::BTreeMap, fs};

use rustix::{
    process::{Resource, getrlimit},
    thread::{CapabilitySet, capabilities},
};

use crate::{collect::procfs, kernel};

/// Where the reasons are, for people.
const GUIDE: &str = "docs/privileges.md";
/// The mode of a process whose system calls a filter judges, in `/proc/self/status`.
const SECCOMP_FILTER: &str = "2";
/// What `/proc/self/uid_map` holds in the first user namespace, whose capabilities alone count for the kernel.
const ALL_USERS: [&str; 3] = ["0", "0", "4294967295"];

/// Something that an agent may be granted or not.
#[derive(Debug)]
pub struct Privilege {
    /// A capability as capabilities(7) has it, or `hostPID`.
    pub name: &'static str,
    /// What to do about its lack.
    pub grant: &'static str,
    /// Whether it belongs to the set that an agent is to be given; otherwise what it adds is for those who want it.
    pub is_expected: bool,
    need: Need,
    /// What is not attached at all without it.
    not_attached: &'static str,
    shortfalls: &'static [Shortfall],
}

/// What decides whether a privilege is held.
#[derive(Clone, Copy, Debug)]
enum Need {
    Capability(CapabilitySet),
    /// The first pid namespace, and a `/proc` that shows it.
    NodeProcesses,
}

/// What a probe that is attached all the same does not tell.
#[derive(Debug)]
struct Shortfall {
    probe: &'static str,
    not_told: &'static str,
}

const fn shortfall(probe: &'static str, not_told: &'static str) -> Shortfall {
    Shortfall { probe, not_told }
}

/// All of them. A probe or source that is not attached for want of one says so itself.
pub const ALL: [Privilege; 7] = [
    Privilege {
        name: "CAP_BPF",
        grant: "add BPF to the agent's capabilities",
        is_expected: true,
        need: Need::Capability(CapabilitySet::BPF),
        not_attached: "all probes",
        shortfalls: &[],
    },
    Privilege {
        name: "CAP_PERFMON",
        grant: "add PERFMON to the agent's capabilities",
        is_expected: true,
        need: Need::Capability(CapabilitySet::PERFMON),
        not_attached: "all probes",
        shortfalls: &[],
    },
    Privilege {
        name: "CAP_SYS_PTRACE",
        grant: "add SYS_PTRACE to the agent's capabilities",
        is_expected: true,
        need: Need::Capability(CapabilitySet::SYS_PTRACE),
        not_attached: "",
        shortfalls: &[
            shortfall("netns_samples", "the network namespaces of containers"),
            shortfall("filesystem_samples", "the file systems of containers"),
            shortfall(
                "sys_exit",
                "what a file that could not be executed asks for",
            ),
            shortfall(
                "sched_process_exit",
                "ends of daemons that ran before the agent",
            ),
            shortfall(
                "signal_generate",
                "the file of a sender; its name stands for it",
            ),
            shortfall(
                "kfree_skb",
                "whose a network namespace is that is older than the agent",
            ),
        ],
    },
    Privilege {
        name: "CAP_DAC_READ_SEARCH",
        grant: "add DAC_READ_SEARCH to the agent's capabilities",
        is_expected: true,
        need: Need::Capability(CapabilitySet::DAC_READ_SEARCH),
        not_attached: "",
        shortfalls: &[
            shortfall("cgroup_mkdir", "cgroup paths of more than 511 bytes"),
            shortfall(
                "netns_samples",
                "who listens, of processes that are not root's",
            ),
            shortfall(
                "filesystem_samples",
                "mounts below directories that are closed to others",
            ),
            shortfall(
                "sys_exit",
                "what a file asks for that only its owner may read",
            ),
        ],
    },
    Privilege {
        name: "CAP_SYSLOG",
        grant: "add SYSLOG to the agent's capabilities",
        is_expected: true,
        need: Need::Capability(CapabilitySet::SYSLOG),
        not_attached: "the kernel log, where kernel.dmesg_restrict is set",
        shortfalls: &[shortfall(
            "kfree_skb",
            "the function that dropped a packet, where kernel addresses are hidden",
        )],
    },
    Privilege {
        name: "CAP_SYS_ADMIN",
        grant: "add SYS_ADMIN to the agent's capabilities, if that is worth it",
        is_expected: false,
        need: Need::Capability(CapabilitySet::SYS_ADMIN),
        not_attached: "",
        shortfalls: &[shortfall(
            "netns_samples",
            "which socket's accept queue is full, and the range of local ports",
        )],
    },
    Privilege {
        name: "hostPID",
        grant: "set hostPID: true, and mount /proc without hidepid",
        is_expected: true,
        need: Need::NodeProcesses,
        not_attached: "",
        shortfalls: &[
            shortfall(
                "cgroup_samples",
                "open files, and how long threads wait for a CPU",
            ),
            shortfall("netns_samples", "the network namespaces of containers"),
            shortfall("filesystem_samples", "the file systems of containers"),
            shortfall(
                "sys_exit",
                "what a file that could not be executed asks for",
            ),
            shortfall("mark_victim", "the largest processes at an OOM kill"),
            shortfall(
                "sched_process_exit",
                "ends of daemons that ran before the agent",
            ),
            shortfall(
                "signal_generate",
                "the file of a sender; its name stands for it",
            ),
            shortfall(
                "kfree_skb",
                "whose a network namespace is that is older than the agent",
            ),
            shortfall("task_iter", "the names of threads"),
            shortfall(
                "kernel_log",
                "the cgroup of a process that AppArmor or SELinux refused something",
            ),
        ],
    },
];

/// What this process holds, and what else may stand in its way.
#[derive(Clone, Copy, Debug)]
pub struct Privileges {
    effective: CapabilitySet,
    sees_node: bool,
    has_seccomp_filter: bool,
    is_in_first_user_namespace: bool,
    /// The kernel keeps the secrets of its memory even from those who may load programs.
    is_confidential: bool,
    /// Maps count against a limit of locked memory that this process may not raise.
    is_memory_limited: bool,
}

impl Privileges {
    /// Asks the kernel what this process holds. Where it does not tell, nothing is taken for granted.
    pub fn read() -> Self {
        let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let users = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
        Self {
            effective,
            sees_node: procfs::shows_node(),
            has_seccomp_filter: field(&status, "Seccomp") == Some(SECCOMP_FILTER),
            is_in_first_user_namespace: users.split_ascii_whitespace().eq(ALL_USERS),
            is_confidential: lockdown.contains("[confidentiality]"),
            is_memory_limited: counts_locked_memory(&kernel::release())
                && getrlimit(Resource::Memlock).maximum.is_some()
                && !effective.contains(CapabilitySet::SYS_RESOURCE),
        }
    }

    /// Returns what is not held.
    pub fn lacking(self) -> impl Iterator<Item = &'static Privilege> {
        ALL.iter().filter(move |privilege| !self.holds(privilege))
    }

    /// Returns what the probe of that name does not tell, though it is attached; empty when nothing is lacking for it.
    pub fn shortfalls(self, probe: &str) -> String {
        // What needs several is told once.
        let mut lacks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for privilege in self.lacking() {
            let shortfalls = privilege.shortfalls.iter();
            for shortfall in shortfalls.filter(|shortfall| shortfall.probe == probe) {
                lacks
                    .entry(shortfall.not_told)
                    .or_default()
                    .push(privilege.name);
            }
        }
        let told = lacks.iter().map(|(not_told, names)| {
            format!("without {} not told: {not_told}", names.join(" and "))
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Says why the kernel refuses programs to this process, and what to do, as far as that can be told.
    pub fn why_no_programs(self) -> String {
        if !self.is_in_first_user_namespace {
            return format!(
                "this process is in a user namespace, whose capabilities do not count for the kernel: run the agent without \
                 one (no `hostUsers: false`), see {GUIDE}"
            );
        }
        let lacks: Vec<_> = self
            .lacking()
            .filter(|privilege| matches!(privilege.name, "CAP_BPF" | "CAP_PERFMON"))
            .map(|privilege| privilege.name)
            .collect();
        if !lacks.is_empty() {
            return format!(
                "this process lacks {}: add it to the agent's capabilities, see {GUIDE}",
                lacks.join(" and ")
            );
        }
        let obstacle = if self.is_memory_limited {
            "before Linux 5.11 maps count against the limit of locked memory, which this process may not raise for lack of \
             CAP_SYS_RESOURCE: add SYS_RESOURCE to the agent's capabilities, or have its runtime set no such limit"
        } else if self.is_confidential {
            "the kernel is locked down for confidentiality: boot it with lockdown=integrity"
        } else if self.has_seccomp_filter {
            "this process holds CAP_BPF and CAP_PERFMON, but has a seccomp filter, which may refuse bpf(2): give the \
             agent a profile that allows it"
        } else {
            "this process holds CAP_BPF and CAP_PERFMON; something else refuses, such as a security module"
        };
        format!("{obstacle}, see {GUIDE}")
    }

    /// Returns whether the capability of that name is held.
    pub fn holds_capability(self, name: &str) -> bool {
        ALL.iter()
            .any(|privilege| privilege.name == name && self.holds(privilege))
    }

    fn holds(self, privilege: &Privilege) -> bool {
        match privilege.need {
            Need::Capability(capability) => {
                self.is_in_first_user_namespace && self.effective.contains(capability)
            }
            Need::NodeProcesses => self.sees_node,
        }
    }
}

impl Privilege {
    /// Returns what cannot be told without it.
    pub fn without(&self) -> String {
        let shortfalls = self.shortfalls.iter().map(|shortfall| shortfall.not_told);
        let not_told = [self.not_attached].into_iter().chain(shortfalls);
        let not_told: Vec<_> = not_told.filter(|words| !words.is_empty()).collect();
        not_told.join("; ")
    }
}

/// Returns whether a kernel of that release counts maps as locked memory: those before 5.11 do.
fn counts_locked_memory(release: &str) -> bool {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    match (number(), number()) {
        (Some(major), Some(minor)) => (major, minor) < (5, 11),
        // What cannot be read is taken for a new one.
        _ => false,
    }
}

/// Returns the value of a line such as `Seccomp:\t2`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| *key == name)?;
    Some(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes;

    /// An agent that was given all that it is to be given, and `effective` of the capabilities.
    fn granted(effective: CapabilitySet) -> Privileges {
        Privileges {
            effective,
            sees_node: true,
            has_seccomp_filter: false,
            is_in_first_user_namespace: true,
            is_confidential: false,
            is_memory_limited: false,
        }
    }

    #[test]
    fn each_privilege_is_for_something_and_names_only_probes_that_there_are() {
        for privilege in &ALL {
            assert!(!privilege.without().is_empty(), "{}", privilege.name);
            for shortfall in privilege.shortfalls {
                let is_known = probes::names().any(|name| name == shortfall.probe);
                assert!(is_known, "{}: {}", privilege.name, shortfall.probe);
            }
        }
    }

    #[test]
    fn expects_what_the_guide_grants_and_no_more() {
        let guide = include_str!("../../docs/privileges.md");
        let capabilities = testkit::documented_capabilities().into_iter();
        let documented = capabilities.map(|name| format!("CAP_{name}"));
        let documented: Vec<_> = documented.chain(["hostPID".to_owned()]).collect();
        let expected = ALL.iter().filter(|privilege| privilege.is_expected);
        let expected: Vec<_> = expected.map(|privilege| privilege.name).collect();
        assert_eq!(expected, documented);
        for privilege in &ALL {
            assert!(
                guide.contains(&format!("`{}`", privilege.name)),
                "{}",
                privilege.name
            );
        }
    }

    #[test]
    fn tells_what_a_probe_lacks_and_nothing_where_nothing_is_lacking() {
        let all = granted(CapabilitySet::all());
        assert_eq!(all.lacking().count(), 0);
        assert_eq!(all.shortfalls("netns_samples"), "");
        let none = granted(CapabilitySet::empty()).shortfalls("netns_samples");
        for name in ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN"] {
            assert!(none.contains(name), "{none}");
        }
        assert!(!none.contains("CAP_BPF"), "{none}");
        let blind = Privileges {
            sees_node: false,
            ..granted(CapabilitySet::empty())
        };
        let both = blind.shortfalls("signal_generate");
        assert!(
            both.starts_with("without CAP_SYS_PTRACE and hostPID not told"),
            "{both}"
        );
        let enclosed = Privileges {
            is_in_first_user_namespace: false,
            ..all
        };
        assert!(!enclosed.holds_capability("CAP_SYSLOG"));
    }

    #[test]
    fn names_the_first_thing_that_keeps_programs_out() {
        let all = granted(CapabilitySet::all());
        for (privileges, words) in [
            (granted(CapabilitySet::empty()), "CAP_BPF and CAP_PERFMON"),
            (granted(CapabilitySet::BPF), "lacks CAP_PERFMON"),
            (
                Privileges {
                    is_in_first_user_namespace: false,
                    ..all
                },
                "hostUsers",
            ),
            (
                Privileges {
                    is_confidential: true,
                    has_seccomp_filter: true,
                    ..all
                },
                "lockdown=integrity",
            ),
            (
                Privileges {
                    has_seccomp_filter: true,
                    ..all
                },
                "seccomp",
            ),
            (
                Privileges {
                    is_memory_limited: true,
                    has_seccomp_filter: true,
                    ..all
                },
                "add SYS_RESOURCE",
            ),
            (all, "security module"),
        ] {
            let why = privileges.why_no_programs();
            assert!(why.contains(words) && why.contains(GUIDE), "{why}");
        }
    }

    #[test]
    fn knows_the_kernels_that_count_maps_as_locked_memory() {
        for (release, expected) in [
            ("5.10.0-33-amd64", true),
            ("5.4", true),
            ("5.11.0", false),
            ("6.1.0-56-cloud-amd64", false),
            ("unknown", false),
        ] {
            assert_eq!(counts_locked_memory(release), expected, "{release}");
        }
    }

    #[test]
    fn reads_a_field_of_a_status() {
        let status = "Name:\tx: y\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(field(status, "Seccomp"), Some("2"));
        assert_eq!(field(status, "NoNewPrivs"), None);
    }
}
