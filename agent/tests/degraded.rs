//! The agent where something that it reads or calls is not there: it runs, tells what it can, and says what it cannot. What
//! is not there is hidden in a mount namespace of the agent's own. Skipped without root.

#[cfg(test)]
#[path = "double/aggregator.rs"]
#[expect(dead_code, reason = "an aggregator that misbehaves is for other tests")]
mod aggregator;
#[cfg(test)]
#[path = "privileges/deeds.rs"]
mod deeds;
#[cfg(test)]
#[path = "privileges/grant.rs"]
#[expect(
    dead_code,
    reason = "capabilities that are missing one by one are for another test"
)]
mod grant;
#[cfg(test)]
#[path = "degraded/mode.rs"]
mod mode;
#[cfg(test)]
#[path = "double/process.rs"]
#[expect(dead_code, reason = "an agent without probes is for other tests")]
mod process;
#[cfg(test)]
#[path = "double/watch.rs"]
#[expect(dead_code, reason = "only its cgroups are needed here")]
mod watch;

#[cfg(test)]
mod tests {
    use super::grant;
    use super::mode::{Expected, Mode};

    const WITHOUT_BTF: &str = "mount -t tmpfs none /sys/kernel/btf";
    const WITHOUT_TRACEFS: &str = "
        mount -t tmpfs none /sys/kernel/debug
        if [ -d /sys/kernel/tracing ]; then mount -t tmpfs none /sys/kernel/tracing; fi";

    /// Leaves of each hierarchy what a container would be shown, the cgroup that it runs in.
    const OWN_CGROUPS_ONLY: &str = "
        own=$(awk -F: '$2 == \"memory\" || $2 == \"\" { print $2 }' /proc/self/cgroup | sort | tail -n 1)
        umount -R /sys/fs/cgroup
        if [ \"$own\" = memory ]; then
            mount -t tmpfs none /sys/fs/cgroup
            mkdir /sys/fs/cgroup/memory
            mount -t cgroup -o memory none /sys/fs/cgroup/memory
        else
            mount -t cgroup2 none /sys/fs/cgroup
        fi";

    /// What is to be said of one probe.
    const fn line(
        probe: &'static str,
        state: &'static str,
        why: &'static [&'static str],
    ) -> Expected {
        Expected { probe, state, why }
    }

    async fn check(modes: &[Mode<'_>]) {
        if !grant::is_possible() {
            return;
        }
        for mode in modes {
            mode.check().await;
        }
    }

    #[tokio::test]
    async fn without_type_information_what_needs_none_is_told() {
        check(&[
            Mode {
                hide: &[WITHOUT_BTF, WITHOUT_TRACEFS],
                expected: &[
                    line(
                        "mark_victim",
                        "missing",
                        &[
                            "/sys/kernel/btf/vmlinux",
                            "CONFIG_DEBUG_INFO_BTF",
                            "tracefs",
                        ],
                    ),
                    line("task_iter", "missing", &["type information"]),
                    line("clock", "attached", &[]),
                ],
                is_watched: false,
                ..Mode::new("no-btf")
            },
            Mode {
                hide: &[WITHOUT_BTF, "mount -t tracefs none /sys/kernel/tracing"],
                expected: &[
                    line("mark_victim", "attached", &["CONFIG_DEBUG_INFO_BTF"]),
                    line("sched_process_exit", "missing", &["CONFIG_DEBUG_INFO_BTF"]),
                ],
                ..Mode::new("no-btf-but-tracefs")
            },
        ])
        .await;
    }

    #[tokio::test]
    async fn without_tracefs_all_is_told() {
        check(&[Mode {
            hide: &[WITHOUT_TRACEFS],
            expected: &[line("mark_victim", "attached", &[])],
            tells_all: true,
            ..Mode::new("no-tracefs")
        }])
        .await;
    }

    #[tokio::test]
    async fn a_kernel_that_takes_no_programs_leaves_what_files_tell() {
        let why = |words| Expected {
            probe: "mark_victim",
            state: "missing",
            why: words,
        };
        check(&[
            Mode {
                refuses_bpf: true,
                expected: &[
                    why(&["refuses to load", "seccomp filter", "docs/privileges.md"]),
                    line("cgroup_samples", "attached", &[]),
                ],
                is_watched: false,
                ..Mode::new("seccomp")
            },
            Mode {
                unshare: &["--user", "--map-root-user"],
                expected: &[
                    why(&["refuses to load", "user namespace", "hostUsers"]),
                    line("kernel_log", "missing", &["/dev/kmsg"]),
                ],
                is_watched: false,
                ..Mode::new("user-namespace")
            },
            Mode {
                refuses_bpf: true,
                hide: &[
                    "umount -R /sys/fs/cgroup",
                    "mount --bind /dev/null /dev/kmsg",
                ],
                expected: &[
                    why(&["seccomp filter"]),
                    line("cgroup_samples", "missing", &["mount the node's"]),
                    line("kernel_log", "missing", &["mount the node's"]),
                    line("clock", "attached", &[]),
                ],
                is_watched: false,
                ..Mode::new("hardly-anything")
            },
        ])
        .await;
    }

    #[tokio::test]
    async fn without_the_kernel_log_all_else_is_told() {
        check(&[
            Mode {
                hide: &["mount --bind /dev/null /dev/kmsg"],
                expected: &[line(
                    "kernel_log",
                    "missing",
                    &["/dev/kmsg", "not the kernel's log", "mount"],
                )],
                tells_all: true,
                ..Mode::new("another-kmsg")
            },
            Mode {
                hide: &["mount -t tmpfs none /dev", "mknod -m 666 /dev/null c 1 3"],
                expected: &[line("kernel_log", "missing", &["No such file", "mount"])],
                ..Mode::new("no-kmsg")
            },
        ])
        .await;
    }

    #[tokio::test]
    async fn cgroup_file_systems_that_are_not_there_are_named() {
        check(&[
            Mode {
                hide: &["umount -R /sys/fs/cgroup"],
                expected: &[
                    line("mark_victim", "attached", &[]),
                    line("cgroup_samples", "missing", &["/sys/fs/cgroup", "mount"]),
                    line(
                        "filesystem_samples",
                        "missing",
                        &["/sys/fs/cgroup", "mount"],
                    ),
                ],
                ..Mode::new("no-cgroup-file-system")
            },
            Mode {
                hide: &["umount /sys/fs/cgroup/unified"],
                expected: &[line(
                    "cgroup_samples",
                    "attached",
                    &["v1 tells no pressure"],
                )],
                tells_all: true,
                ..Mode::new("v1-only")
            },
            Mode {
                hide: &[
                    "umount -R /sys/fs/cgroup",
                    "mount -t cgroup2 none /sys/fs/cgroup",
                    "mount -t tmpfs none /run && echo 0::/ > /run/membership",
                    "mount --bind /run/membership /proc/$$/cgroup",
                    "mount -t tmpfs none /proc/pressure",
                ],
                expected: &[line("cgroup_samples", "attached", &["psi=1"])],
                ..Mode::new("v2-only-without-pressure")
            },
        ])
        .await;
    }

    #[tokio::test]
    async fn a_cgroup_namespace_hides_neither_cgroups_nor_whom_they_hold() {
        check(&[
            Mode {
                in_own_cgroup: true,
                unshare: &["--cgroup"],
                expected: &[line("cgroup_samples", "attached", &[])],
                tells_all: true,
                ..Mode::new("cgroup-namespace")
            },
            Mode {
                in_own_cgroup: true,
                unshare: &["--cgroup"],
                hide: &[OWN_CGROUPS_ONLY],
                expected: &[line(
                    "cgroup_samples",
                    "attached",
                    &["only a part of the node's cgroups", "mount the node's"],
                )],
                ..Mode::new("own-cgroup-only")
            },
        ])
        .await;
    }

    #[tokio::test]
    async fn a_proc_that_does_not_show_the_node_is_noticed() {
        let blind = &[
            line("filesystem_samples", "attached", &["without hostPID"]),
            line(
                "mark_victim",
                "attached",
                &["without hostPID", "largest processes"],
            ),
        ];
        check(&[
            Mode {
                unshare: &["--pid", "--fork", "--kill-child", "--mount-proc"],
                expected: blind,
                tells_all: true,
                logged: "\"privilege\":\"hostPID\"",
                reads_files: false,
                ..Mode::new("own-pid-namespace")
            },
            Mode {
                hide: &["mount -t proc -o hidepid=4 none /proc"],
                without: Some("SYS_PTRACE"),
                expected: &[
                    line("mark_victim", "attached", &["without hostPID"]),
                    line(
                        "signal_generate",
                        "attached",
                        &["CAP_SYS_PTRACE and hostPID"],
                    ),
                ],
                tells_all: true,
                logged: "mount /proc without hidepid",
                reads_files: false,
                ..Mode::new("hidden-processes")
            },
        ])
        .await;
    }

    #[tokio::test]
    async fn a_file_system_that_is_read_only_but_for_its_state_is_enough() {
        check(&[Mode {
            hide: &[
                "mount --bind \"$STATE\" \"$STATE\"",
                "mount -o remount,bind,ro /",
            ],
            expected: &[line("mark_victim", "attached", &[])],
            tells_all: true,
            ..Mode::new("read-only")
        }])
        .await;
    }
}
