//! Why hooks failed, in words for people. Must not decide which hook comes next.

use std::{error::Error, fmt, io};

use super::{
    Hook,
    attach::{self, AttachError},
};

/// Why hooks failed, in the order in which they were tried.
#[derive(Default)]
pub(super) struct Failures {
    reasons: Vec<(Vec<&'static str>, String)>,
    /// The kernel did not permit one of them.
    pub(super) was_refused: bool,
}

impl Failures {
    /// Adds why `hook` failed; hooks that fail for one reason are told together.
    pub(super) fn add(&mut self, hook: Hook, error: &AttachError) {
        self.was_refused |= is_refusal(error);
        let reason = attach::describe(error);
        match self.reasons.last_mut() {
            Some((hooks, last)) if *last == reason => hooks.push(hook.name()),
            _ => self.reasons.push((vec![hook.name()], reason)),
        }
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = self.reasons.iter();
        let told: Vec<_> = reasons
            .map(|(hooks, reason)| format!("{}: {reason}", hooks.join(", ")))
            .collect();
        f.write_str(&told.join("; "))
    }
}

/// Returns whether an error came of the kernel's not permitting something.
pub(crate) fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use aya::{programs::ProgramError, sys::SyscallError};

    use super::*;

    #[test]
    fn hooks_that_fail_for_one_reason_are_told_together() {
        let obstacle = |reason: &str| AttachError::Obstacle(reason.to_owned());
        let mut failures = Failures::default();
        assert_eq!(failures.to_string(), "");
        failures.add(Hook::TpBtf, &obstacle("no type information"));
        failures.add(Hook::RawTp, &obstacle("no type information"));
        failures.add(Hook::Tracepoint, &obstacle("no tracefs"));
        assert_eq!(
            failures.to_string(),
            "tp_btf, raw_tp: no type information; tracepoint: no tracefs"
        );
        assert!(!failures.was_refused);
    }

    #[test]
    fn knows_a_refusal_wherever_it_is_in_the_chain_of_causes() {
        let loading = |kind: io::ErrorKind| {
            let refused = SyscallError {
                call: "bpf_prog_load",
                io_error: kind.into(),
            };
            AttachError::Load("x", ProgramError::SyscallError(refused))
        };
        assert!(is_refusal(&loading(io::ErrorKind::PermissionDenied)));
        assert!(!is_refusal(&loading(io::ErrorKind::InvalidInput)));
        assert!(!is_refusal(&AttachError::NoProgram("x")));
    }
}
