//! The self-test by an agent that was given no more than `docs/privileges.md` says, and as little locked memory as a
//! container has, on this guest's kernel. Must not grant anything but that, and what the test's own cgroups take.

use std::io;
use std::path::Path;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use tokio::process::Command;

use crate::host;
use crate::proof::Proof;
use crate::self_test::{self, Report};

/// Checks that need nothing beyond cgroups.
const CHECKS: [&str; 8] = [
    "oom_kill",
    "process_exit",
    "process_exec",
    "fatal_signal",
    "cgroup_name",
    "cgroup_removed",
    "syscall_failures",
    "exec_failure",
];
/// To make cgroups below a root that is not writable.
const FOR_CGROUPS: CapabilitySet = CapabilitySet::DAC_OVERRIDE;
/// What kernels of before take for maps, beyond the limit of locked memory.
const FOR_LOCKED_MEMORY: CapabilitySet = CapabilitySet::SYS_RESOURCE;
/// The first release, major and minor, in which maps do not count against that limit.
const WITHOUT_LIMIT: (u32, u32) = (5, 11);
/// The limit that runtimes leave to a container.
const LOCKED_MEMORY: u64 = 64 << 10;
/// Numbers of capabilities, more than any kernel has.
const NUMBERS: std::ops::Range<u32> = 0..64;

/// Has `agent` test itself with what is documented for this kernel, and, where more is than for others, without that.
pub(super) async fn prove(agent: &Path, proof: &mut Proof) -> anyhow::Result<()> {
    let documented = documented()?;
    let is_limited = release(&host::kernel_release()).is_some_and(|is| is < WITHOUT_LIMIT);
    let granted = if is_limited {
        documented | FOR_LOCKED_MEMORY
    } else {
        documented
    };
    let report = run(agent, granted).await?;
    for check in CHECKS {
        let name = format!("with the documented capabilities: {check}");
        proof.exactly(&name, report.told(check), "pass".to_owned());
    }
    if is_limited {
        let report = run(agent, documented).await?;
        let told = report.told("oom_kill");
        let name = "without CAP_SYS_RESOURCE: the limit of locked memory is named";
        let is_named = told.starts_with("not_possible") && told.contains("CAP_SYS_RESOURCE");
        proof.exactly(name, is_named, true);
    }
    Ok(())
}

fn documented() -> anyhow::Result<CapabilitySet> {
    let names = testkit::documented_capabilities().into_iter();
    names
        .map(|name| CapabilitySet::from_name(name).with_context(|| format!("no such: {name}")))
        .collect()
}

async fn run(agent: &Path, granted: CapabilitySet) -> anyhow::Result<Report> {
    let mut command = Command::new(agent);
    command.arg("self-test");
    command.args(CHECKS.iter().flat_map(|check| ["--only", check]));
    let limit = move || keep_only(granted | FOR_CGROUPS);
    // SAFETY: the closure makes system calls only; it neither allocates nor takes locks.
    unsafe { command.pre_exec(limit) };
    self_test::report(command).await
}

/// Gives up, for whatever this process executes, all capabilities but `granted` and all locked memory but a container's.
fn keep_only(granted: CapabilitySet) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(LOCKED_MEMORY),
        maximum: Some(LOCKED_MEMORY),
    };
    setrlimit(Resource::Memlock, limit)?;
    for number in NUMBERS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if granted.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // Beyond the kernel's last one.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Returns major and minor of a kernel's release.
fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_release() {
        assert_eq!(release("5.10.0-33-amd64"), Some((5, 10)));
        assert_eq!(release("7.0"), Some((7, 0)));
        assert_eq!(release("rc"), None);
    }

    #[test]
    fn knows_every_documented_capability() {
        assert!(documented().unwrap().contains(CapabilitySet::BPF));
    }
}
