//! System calls, errors and capabilities by name, which failures are noise, and which are worth their argument. Must not
//! read what the programs count.

mod capabilities;
mod errnos;
mod functions;
mod ignore;
mod interest;
mod names;
mod required;

use std::{collections::HashMap, sync::LazyLock};

use inquest_agent_abi::{COMPAT_CALL, SyscallPolicy, UNKNOWN_CALL};

pub use capabilities::capability_name;
pub(crate) use functions::function_of;
pub use ignore::{IgnoreList, IgnoreRuleError};

/// Names by number, and the other way round.
struct Index {
    names: HashMap<u32, &'static str>,
    numbers: HashMap<&'static str, u32>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| Index {
    names: names::all().collect(),
    numbers: names::all().map(|(number, name)| (name, number)).collect(),
});

/// Returns what the programs are to make of failed calls.
pub fn policy(ignored: &IgnoreList) -> Box<SyscallPolicy> {
    let mut policy = Box::new(SyscallPolicy::NONE);
    ignored.fill(&mut policy);
    interest::fill(&mut policy);
    required::fill(&mut policy);
    policy
}

/// Returns the name of a call as the programs number it, for example `openat`; `syscall_500` for one without.
pub fn call_name(call: u32) -> String {
    match call {
        UNKNOWN_CALL => "syscall_unknown".to_owned(),
        COMPAT_CALL => "syscall_32bit".to_owned(),
        call => INDEX
            .names
            .get(&call)
            .map_or_else(|| format!("syscall_{call}"), |name| (*name).to_owned()),
    }
}

/// Returns the name of an error, for example `ENOENT`; the number for one without.
pub fn errno_name(errno: u32) -> String {
    errnos::errno_name(errno).map_or_else(|| errno.to_string(), str::to_owned)
}

/// Returns the number of the call `name`; `None` when this architecture has none.
pub(crate) fn call_of(name: &str) -> Option<u32> {
    INDEX.numbers.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_told_by_its_number() {
        for (call, name) in [
            (libc::SYS_openat as u32, "openat"),
            (511, "syscall_511"),
            (UNKNOWN_CALL, "syscall_unknown"),
            (COMPAT_CALL, "syscall_32bit"),
        ] {
            assert_eq!(call_name(call), name);
        }
        assert_eq!(errno_name(2), "ENOENT");
        assert_eq!(errno_name(600), "600");
    }
}
