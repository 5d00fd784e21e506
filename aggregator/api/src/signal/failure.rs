//! Calls that failed or were denied. Must not weigh them.

use inquest_engine::model::{Timestamp, signal as to};
use inquest_proto::v1;

use super::bound::{list, text};
use super::cgroup;

pub(super) fn syscall_failures(
    from: &v1::SyscallFailures,
    start: Timestamp,
) -> to::SyscallFailures {
    to::SyscallFailures {
        start,
        failures: list(&from.failures, syscall_failure),
    }
}

fn syscall_failure(from: &v1::SyscallFailure) -> to::SyscallFailure {
    to::SyscallFailure {
        syscall: text(&from.syscall),
        errno: text(&from.errno),
        count: from.count,
    }
}

pub(super) fn exec_failure(from: &v1::ExecFailure) -> to::ExecFailure {
    to::ExecFailure {
        filename: text(&from.filename),
        errno: text(&from.errno),
        interpreter: text(&from.interpreter),
        machine: text(&from.machine),
        count: from.count,
        file_read: from.file_read,
    }
}

pub(super) fn pids_limit_hit(from: &v1::PidsLimitHit) -> to::PidsLimitHit {
    to::PidsLimitHit {
        limiting: from.limiting.as_ref().map(cgroup),
        max: from.max,
        current: from.current,
        count: from.count,
        not_cgroup: from.not_cgroup,
    }
}

pub(super) fn denials(from: &v1::Denials, start: Timestamp) -> to::Denials {
    to::Denials {
        start,
        denials: list(&from.denials, denial),
    }
}

fn denial(from: &v1::Denial) -> to::Denial {
    to::Denial {
        kind: denial_kind(from.kind()),
        syscall: text(&from.syscall),
        object: text(&from.object),
        capability: text(&from.capability),
        profile: text(&from.profile),
        count: from.count,
    }
}

fn denial_kind(from: v1::denial::Kind) -> to::DenialKind {
    use v1::denial::Kind as Wire;
    match from {
        Wire::SeccompKill => to::DenialKind::SeccompKill,
        Wire::SeccompErrno => to::DenialKind::SeccompErrno,
        Wire::Apparmor => to::DenialKind::AppArmor,
        Wire::Selinux => to::DenialKind::SeLinux,
        Wire::Capability => to::DenialKind::Capability,
        Wire::Unspecified => to::DenialKind::Unknown,
    }
}
