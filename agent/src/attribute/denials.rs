//! Makes signals of what a security policy refused, with the cgroup that procfs
//! still has of a process that only the kernel's log named. Must not judge it.

use std::cmp::Reverse;

use inquest_agent_abi::{ProcessExit, Refuser, SYS_SECCOMP, SignalSource, UNKNOWN_CALL};
use inquest_proto::v1::{self, Denial, Denials, denial::Kind, signal::Body};

use super::{Attributor, Window, subject_of};
use crate::syscalls::{call_name, capability_name};

/// The signal of a call that cannot be made.
const SIGSYS: u32 = libc::SIGSYS.cast_unsigned();

/// Equal calls that were refused for one reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Number of the call as the programs count it.
    pub call: u32,
    /// Who said no.
    pub by: Refuser,
    /// How often.
    pub count: u64,
}

impl Attributor {
    /// Returns which calls in `cgroup` a policy refused in `window`, the most frequent first.
    pub fn refusals_signal(
        &mut self,
        cgroup: u64,
        window: Window,
        mut refused: Vec<Refused>,
    ) -> v1::Signal {
        refused.sort_by_key(|one| {
            let capability = one.by.missing_capability();
            (Reverse(one.count), one.call, capability)
        });
        let denials = refused.into_iter().map(|one| {
            let missing = one.by.missing_capability();
            let kind = missing.map_or(Kind::SeccompErrno, |_| Kind::Capability);
            Denial {
                kind: kind.into(),
                syscall: call_name(one.call),
                capability: missing.map(capability_name).unwrap_or_default(),
                count: one.count,
                ..Denial::default()
            }
        });
        let body = Body::Denials(Denials {
            start: Some(self.clock.wall(window.start_ktime_ns)),
            denials: denials.collect(),
        });
        let subject = self.cgroup_subject(cgroup, window.end_ktime_ns);
        self.signal(window.end_ktime_ns, subject, body)
    }

    /// Returns that a seccomp filter ended `subject`, if that is what `exit` came of.
    pub(super) fn seccomp_kill_signal(
        &self,
        exit: &ProcessExit,
        subject: &v1::Subject,
    ) -> Option<v1::Signal> {
        let origin = &exit.origin;
        let by_filter = exit.wait_status & 0x7f == SIGSYS
            && origin.source == SignalSource::KERNEL
            && origin.code == SYS_SECCOMP;
        if !by_filter {
            return None;
        }
        let syscall = match origin.call {
            UNKNOWN_CALL => String::new(),
            call => call_name(call),
        };
        let denial = Denial {
            kind: Kind::SeccompKill.into(),
            syscall,
            count: 1,
            ..Denial::default()
        };
        let body = Body::Denials(Denials {
            start: Some(self.clock.wall(origin.ktime_ns)),
            denials: vec![denial],
        });
        Some(self.signal(origin.ktime_ns, subject.clone(), body))
    }

    /// Returns `denial` as the kernel's log has it, of `process` in the cgroup that it is in now, if it still lives.
    pub(crate) fn logged_denial_signal(
        &self,
        ktime_ns: u64,
        process: v1::Process,
        denial: Denial,
    ) -> v1::Signal {
        let path = self.cgroups.memberships().of(process.pid);
        let cgroup = path.map(|path| v1::Cgroup {
            id: self.cgroups.id_of(&path).unwrap_or(0),
            hierarchy: self.cgroups.hierarchy(),
            path,
        });
        let body = Body::Denials(Denials {
            start: Some(self.clock.wall(ktime_ns)),
            denials: vec![denial],
        });
        self.signal(ktime_ns, subject_of(cgroup, process), body)
    }
}

#[cfg(test)]
mod tests {
    use inquest_agent_abi::{COMPAT_CALL, ProcessExit};

    use super::*;
    use crate::attribute::{signals::tests::exit, tests::attributor};

    fn denials(signal: &v1::Signal) -> &[Denial] {
        match &signal.body {
            Some(Body::Denials(told)) => &told.denials,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_the_most_frequent_refusal_first_by_its_names() {
        let window = Window {
            start_ktime_ns: 1,
            end_ktime_ns: 2,
        };
        let refused = [
            (libc::SYS_mount as u32, Refuser::capability(21), 1),
            (libc::SYS_socket as u32, Refuser::capability(13), 7),
            (libc::SYS_mount as u32, Refuser::SECCOMP, 3),
            (COMPAT_CALL, Refuser::capability(63), 1),
        ];
        let refused = refused.map(|(call, by, count)| Refused { call, by, count });
        let signal = attributor().refusals_signal(5, window, refused.to_vec());
        let told: Vec<_> = denials(&signal)
            .iter()
            .map(|one| {
                let (call, capability) = (one.syscall.as_str(), one.capability.as_str());
                (one.kind(), call, capability, one.count)
            })
            .collect();
        assert_eq!(
            told,
            [
                (Kind::Capability, "socket", "CAP_NET_RAW", 7),
                (Kind::SeccompErrno, "mount", "", 3),
                (Kind::Capability, "mount", "CAP_SYS_ADMIN", 1),
                (Kind::Capability, "syscall_32bit", "CAP_63", 1),
            ]
        );
    }

    #[test]
    fn takes_an_end_for_seccomps_only_when_the_kernel_says_so() {
        let told = |change: fn(&mut ProcessExit)| {
            let mut exit = exit(SIGSYS, SignalSource::KERNEL);
            exit.origin.signal = SIGSYS;
            exit.origin.code = SYS_SECCOMP;
            exit.origin.call = libc::SYS_mount as u32;
            change(&mut exit);
            let signal = attributor().seccomp_kill_signal(&exit, &v1::Subject::default());
            signal.map(|signal| denials(&signal)[0].syscall.clone())
        };
        assert_eq!(told(|_| {}).as_deref(), Some("mount"));
        assert_eq!(
            told(|exit| exit.origin.call = UNKNOWN_CALL).as_deref(),
            Some("")
        );
        assert_eq!(told(|exit| exit.origin.code = 0), None);
        assert_eq!(told(|exit| exit.origin.source = SignalSource::USER), None);
        assert_eq!(told(|exit| exit.wait_status = 9), None);
    }
}
