//! Makes signals of what was counted of failed system calls. Must not read anything.

use inquest_agent_abi::{ExecFailed, PidsLevel, RefusedForks};
use inquest_proto::v1::{self, SyscallFailure, SyscallFailures, signal::Body};

use super::{Attributor, wire_process};
use crate::syscalls::{call_name, errno_name};

/// Calls by number, with their error and how often.
pub type Failures = Vec<(u32, u32, u64)>;

/// A span of time in which something was counted, by CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// When counting began.
    pub start_ktime_ns: u64,
    /// When it ended.
    pub end_ktime_ns: u64,
}

impl Attributor {
    /// Returns which calls failed in `cgroup` in `window`, the most frequent first.
    pub fn failures_signal(
        &mut self,
        cgroup: u64,
        window: Window,
        mut failures: Failures,
    ) -> v1::Signal {
        failures.sort_by_key(|(call, errno, count)| (std::cmp::Reverse(*count), *call, *errno));
        let body = Body::SyscallFailures(SyscallFailures {
            start: Some(self.clock.wall(window.start_ktime_ns)),
            failures: failures
                .into_iter()
                .map(|(call, errno, count)| SyscallFailure {
                    syscall: call_name(call),
                    errno: errno_name(errno),
                    count,
                })
                .collect(),
        });
        let subject = self.cgroup_subject(cgroup, window.end_ktime_ns);
        self.signal(window.end_ktime_ns, subject, body)
    }

    /// Returns that a file could not be executed, as `told`.
    pub fn exec_failure_signal(
        &mut self,
        failed: &ExecFailed,
        told: v1::ExecFailure,
    ) -> v1::Signal {
        let ktime_ns = failed.header.ktime_ns;
        let subject = self.subject(&failed.process, &failed.cgroups, ktime_ns);
        self.signal(ktime_ns, subject, Body::ExecFailure(told))
    }

    /// Returns that forks were refused in `cgroup`, and by whose limit: the lowest level that had no room. The kernel
    /// has taken its attempt back when a call returns, so a level is at its limit, not above.
    pub fn refused_forks_signal(&mut self, cgroup: u64, forks: &RefusedForks) -> v1::Signal {
        let levels = forks.levels.iter().take(forks.levels_len as usize);
        let limiting = levels.copied().find(is_at_limit);
        let body = Body::PidsLimitHit(v1::PidsLimitHit {
            limiting: limiting.map(|level| v1::Cgroup {
                id: level.cgroup,
                hierarchy: forks.hierarchy,
                path: self.pids_cgroups.path_of(level.cgroup).unwrap_or_default(),
            }),
            max: limiting.map_or(0, |level| level.max),
            current: limiting.map_or(0, |level| level.current),
            count: forks.count,
            not_cgroup: limiting.is_none(),
        });
        let subject = v1::Subject {
            process: Some(wire_process(&forks.process)),
            ..self.cgroup_subject(cgroup, forks.ktime_ns)
        };
        self.signal(forks.ktime_ns, subject, body)
    }
}

fn is_at_limit(level: &PidsLevel) -> bool {
    level.current >= level.max
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::tests::{attributor, process};

    const WINDOW: Window = Window {
        start_ktime_ns: 1,
        end_ktime_ns: 2,
    };

    #[test]
    fn tells_the_most_frequent_failure_first_by_its_names() {
        let failures = vec![
            (libc::SYS_openat as u32, 2, 1),
            (libc::SYS_write as u32, 28, 7),
            (511, 600, 1),
        ];
        let signal = attributor().failures_signal(5, WINDOW, failures);
        let Some(Body::SyscallFailures(told)) = signal.body else {
            panic!("{signal:?}")
        };
        let told: Vec<_> = told
            .failures
            .iter()
            .map(|one| (one.syscall.as_str(), one.errno.as_str(), one.count))
            .collect();
        assert_eq!(
            told,
            [
                ("write", "ENOSPC", 7),
                ("openat", "ENOENT", 1),
                ("syscall_511", "600", 1)
            ]
        );
        assert_eq!(signal.subject.unwrap().process, None);
    }

    #[test]
    fn finds_the_lowest_level_without_room() {
        let unlimited = PidsLevel {
            cgroup: 0,
            current: 3,
            max: 4_194_305,
        };
        let level = |cgroup, current, max| PidsLevel {
            cgroup,
            current,
            max,
        };
        for (chain, limiting) in [
            (
                vec![level(9, 5, 10), level(8, 20, 20), level(7, 20, 20)],
                Some(8),
            ),
            (vec![level(9, 5, 10), level(8, 19, 20)], None),
            (vec![], None),
        ] {
            let mut forks = RefusedForks {
                count: 3,
                ktime_ns: 1,
                process: process(42),
                levels_len: chain.len() as u32,
                hierarchy: 0,
                levels: [unlimited; _],
            };
            forks.levels[..chain.len()].copy_from_slice(&chain);
            let signal = attributor().refused_forks_signal(5, &forks);
            let Some(Body::PidsLimitHit(hit)) = signal.body else {
                panic!("{signal:?}")
            };
            assert_eq!(hit.limiting.map(|cgroup| cgroup.id), limiting);
            assert_eq!((hit.not_cgroup, hit.count), (limiting.is_none(), 3));
        }
    }
}
