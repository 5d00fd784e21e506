//! The probe of failed system calls.

use inquest_agent_abi::{Argument, Meter};

use super::{Family, Probe, Returns, returns::Return};
use crate::syscalls::{function_of, of_interest};

/// Any program on this hook sends every system call of the node through the kernel's slow path, in and out:
/// measured on 6.18 with an empty program, less its own run.
const SLOW_PATH_NS: u32 = 80;

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

/// The function behind all calls that make a task. The functions of those without arguments (fork, vfork) are in no
/// kernel's type information.
const BEHIND_FORKS: &str = "kernel_clone";

pub(super) const RETURNS: Returns = Returns {
    functions,
    unseen: "calls of interest alone are counted, and not where seccomp refuses them (`syscalls.all_calls` counts all)",
    attached_ns: Probe::TRACEPOINT_NS,
};

/// Returns the functions whose returns are enough to see the calls of interest fail.
fn functions() -> Vec<Return> {
    let has_own = |argument| argument != Argument::FORK || !cfg!(target_arch = "x86_64");
    let calls = of_interest().filter(|call| has_own(call.argument));
    let own = calls.map(|call| Return {
        program: "syscall_fexit",
        function: function_of(call.name),
    });
    let behind = cfg!(target_arch = "x86_64").then(|| Return {
        program: "fork_fexit",
        function: BEHIND_FORKS.to_owned(),
    });
    own.chain(behind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_of_interest_is_seen_at_one_return() {
        let returns = functions();
        let by = |call: &str| {
            let function = function_of(call);
            returns
                .iter()
                .filter(|one| one.function == function)
                .count()
        };
        for call in of_interest() {
            let behind_another = call.argument == Argument::FORK && cfg!(target_arch = "x86_64");
            assert_eq!(by(call.name), usize::from(!behind_another), "{}", call.name);
        }
        assert_eq!(by("getppid"), 0);
        if cfg!(target_arch = "x86_64") {
            let forks = returns.iter().filter(|one| one.program == "fork_fexit");
            assert_eq!(forks.count(), 1);
        }
    }
}
