//! Starts a program with some capabilities only.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

/// The example of the guide, from which the capabilities are taken.
const GUIDE: &str = include_str!("../../../docs/privileges.md");
/// More than any kernel has.
const LAST: u32 = 63;

/// A capability.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Capability(CapabilitySet);

impl Capability {
    pub(crate) const BPF: Self = Self(CapabilitySet::BPF);
    pub(crate) const PERFMON: Self = Self(CapabilitySet::PERFMON);
    pub(crate) const SYS_PTRACE: Self = Self(CapabilitySet::SYS_PTRACE);
    pub(crate) const DAC_READ_SEARCH: Self = Self(CapabilitySet::DAC_READ_SEARCH);
    pub(crate) const SYSLOG: Self = Self(CapabilitySet::SYSLOG);

    /// Its name, as capabilities(7) has it.
    pub(crate) fn name(self) -> String {
        let mut names = self.0.iter_names();
        format!("CAP_{}", names.next().unwrap().0)
    }
}

/// Whether capabilities can be given up here. If not, the test is counted as skipped.
pub(crate) fn is_possible() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        testkit::skip("giving capabilities up needs root");
    }
    is_root
}

/// The capabilities that the guide's example adds, in its order.
pub(crate) fn documented() -> Vec<Capability> {
    let (_, list) = GUIDE.split_once("add: [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split(", ")
        .map(|name| Capability(CapabilitySet::from_name(name).unwrap()))
        .collect()
}

/// Has `command` run with `granted` and nothing else, as root.
pub(crate) fn only(command: &mut Command, granted: &[Capability]) {
    let granted = granted
        .iter()
        .fold(CapabilitySet::empty(), |all, capability| all | capability.0);
    let drop_others = move || {
        for number in 0..=LAST {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            if granted.contains(capability) {
                continue;
            }
            match remove_capability_from_bounding_set(capability) {
                // Beyond the kernel's last one.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(io::Error::from(error)),
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only; it neither allocates nor takes locks.
    unsafe { command.pre_exec(drop_others) };
}
