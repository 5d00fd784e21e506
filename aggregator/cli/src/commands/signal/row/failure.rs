//! Failed and denied calls, in one line. Must conclude nothing.

use inquest_engine::model::signal::{
    Denial, DenialKind, Denials, ExecFailure, PidsLimitHit, SyscallFailures,
};

use super::most;
use crate::output::text;

pub(super) fn syscall_failures(of: &SyscallFailures) -> String {
    most(
        &of.failures,
        |failure| failure.count,
        |failure| {
            let times = text::count(failure.count, "time");
            format!("{} failed with {} {times}", failure.syscall, failure.errno)
        },
    )
}

pub(super) fn denials(of: &Denials) -> String {
    most(&of.denials, |denial| denial.count, denial)
}

fn denial(of: &Denial) -> String {
    let by = match of.kind {
        DenialKind::SeccompKill => "seccomp ended the process",
        DenialKind::SeccompErrno => "seccomp refused",
        DenialKind::AppArmor => "AppArmor denied",
        DenialKind::SeLinux => "SELinux denied",
        DenialKind::Capability => "capability missing:",
        DenialKind::Unknown => "denied",
    };
    let parts = [by, &of.capability, &of.syscall, &of.object];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

pub(super) fn exec_failure(of: &ExecFailure) -> String {
    let detail = match (of.interpreter.as_str(), of.machine.as_str()) {
        ("", "") => String::new(),
        ("", machine) => format!(" (built for {machine})"),
        (interpreter, _) => format!(" (interpreter {interpreter})"),
    };
    format!("exec {} failed with {}{detail}", of.filename, of.errno)
}

pub(super) fn pids_limit_hit(of: &PidsLimitHit) -> String {
    let forks = text::count(of.count, "fork");
    if of.not_cgroup {
        return format!("{forks} failed at a limit of the user or of the node");
    }
    let limiting = of.limiting.as_ref().and_then(|cgroup| cgroup.path.as_ref());
    let limiting = limiting.map_or("an unknown cgroup", String::as_str);
    format!(
        "{forks} failed: {limiting} is at {} of {} tasks",
        of.current, of.max
    )
}
