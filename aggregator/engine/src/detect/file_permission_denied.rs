//! `file-permission-denied`: the main process of a workload ended because it may not use a file. Must not
//! hold when a security policy refused it, for file modes then do not help.

use super::claim::{Claim, ruled_out};
use super::last_word;
use super::security_context_denied::explains;
use super::startup::is_noise;
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::model::signal::{Denials, FailedCall};
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// Finds files that a program may not use.
pub(super) struct FilePermissionDenied;

impl Detector for FilePermissionDenied {
    fn cause(&self) -> &'static str {
        "file-permission-denied"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let is_refused = |call: &FailedCall| {
            let refused = call.errno == "EACCES" || call.errno == "EPERM";
            refused && !call.path.is_empty() && !call.syscall.starts_with("exec") && !is_noise(call)
        };
        let Some(last) = last_word::find(case, is_refused) else {
            return Verdict::Silent;
        };
        let fact = last.fact(case);
        let windows = case.troubles.of::<Denials>();
        let mut denials = windows.iter().flat_map(|window| &window.record.denials);
        if denials.any(|denial| explains(denial, last.call)) {
            return ruled_out(self.cause(), "a security policy refused it", vec![fact]);
        }
        let victim = case.subject();
        let path = clean(&last.call.path);
        let errno = clean(&last.call.errno);
        Claim {
            cause: self.cause(),
            severity: Severity::Critical,
            entity: case.entity(),
            strength: Strength {
                prior: PRIOR,
                specificity: last.specificity(),
                directness: 0.9,
            },
            until: fact.at,
            signs: vec![fact],
            is_event: false,
            what: format!("{path} was refused"),
            headline: format!("{victim} gave up: it may not use {path} ({errno})"),
            explanation: format!(
                "The last that the kernel refused {victim} before it ended is {} of {path}, and no \
                 security policy is known to have done it: the mode or owner of the file or of a \
                 directory above it has.",
                clean(&last.call.syscall)
            ),
            impact: String::new(),
            remediation: vec![
                format!("look at owner and mode of each part of the path: namei -l {}", word(&path)),
                "compare them with the user that the program runs as: runAsUser, runAsGroup and fsGroup in Kubernetes, User= in systemd".to_owned(),
            ],
        }
        .holds(case)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{Denial, DenialKind, Denials};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::call;
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "file-permission-denied",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[2, 1],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let pid = 40 + round;
        let words = vec![call(
            pid,
            ms - 10,
            "openat",
            "EACCES",
            "/var/lib/shop/orders.db",
        )];
        let shop = Actor::new("shop", pid);
        vec![shop.gave_up(&format!("exit-{round}"), ms, 1, words)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let shop = Actor::new("shop", 40);
        let words = || vec![call(40, -10, "openat", "EACCES", "/var/lib/shop/orders.db")];
        let pyc = "/usr/lib/python3/shop/__pycache__/main.cpython-311.pyc.139872";
        let cache = call(40, -10, "openat", "EACCES", pyc);
        let denial = Denial {
            kind: DenialKind::AppArmor,
            syscall: "openat".to_owned(),
            object: "/var/lib/shop/orders.db".to_owned(),
            count: 1,
            ..Denial::default()
        };
        let denials = Denials {
            start: at_ms(-1000),
            denials: vec![denial],
        };
        let by_policy = vec![
            shop.signal("denial", at_ms(0), SignalBody::Denials(denials)),
            shop.gave_up("s", 0, 1, words()),
        ];
        vec![
            (
                "a helper that may not read",
                vec![shop.helper_gave_up("s", 0, 1, words())],
            ),
            ("a policy that refused it", by_policy),
            (
                "a cache that an interpreter would have liked to write",
                vec![shop.gave_up("s", 0, 1, vec![cache])],
            ),
        ]
    }

    stands!(SCENARIO);
}
