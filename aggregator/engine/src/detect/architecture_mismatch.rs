//! `architecture-mismatch`: the program is for another machine, or no program at all. Must not hold for a
//! missing file.

use super::claim::Claim;
use super::{Detector, Verdict, exec_failure};
use crate::correlate::case::Case;
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::rank::Strength;

const PRIOR: f64 = 0.98;

/// Finds programs of another machine.
pub(super) struct ArchitectureMismatch;

/// Finds files that are executable by their mode and are no program.
pub(super) struct NotExecutableFormat;

impl Detector for ArchitectureMismatch {
    fn cause(&self) -> &'static str {
        "architecture-mismatch"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        claim(case, self.cause(), true)
    }
}

impl Detector for NotExecutableFormat {
    fn cause(&self) -> &'static str {
        "architecture-mismatch/not-executable-format"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        claim(case, self.cause(), false)
    }
}

fn claim(case: &Case<'_>, cause: &'static str, is_of_a_machine: bool) -> Verdict {
    let Some(failure) = exec_failure::find(case) else {
        return Verdict::Silent;
    };
    let record = failure.record;
    let fact = exec_failure::fact(case, failure);
    if record.errno != "ENOEXEC" {
        return super::claim::ruled_out(cause, "the kernel would have said ENOEXEC", vec![fact]);
    }
    if record.machine.is_empty() == is_of_a_machine {
        return Verdict::Silent;
    }
    let (victim, file) = (case.subject(), clean(&record.filename));
    let machine = clean(&record.machine);
    let (headline, explanation, next) = if is_of_a_machine {
        (
            format!("{victim} could not execute {file}: it is built for {machine}"),
            format!(
                "The header of {file} names the machine {machine}, and the kernel of this node cannot run such programs."
            ),
            "use an image for the architecture of the node, or a node of the image's: kubectl get node -L kubernetes.io/arch",
        )
    } else {
        (
            format!("{victim} could not execute {file}: it is no program that this node can run"),
            format!(
                "The kernel knows no way to run {file}, and the agent found neither an ELF header nor a \
                 \"#!\" line in it, or could not read it."
            ),
            "give a script a first line such as #!/bin/sh, without a byte order mark before it, or name its interpreter in the command",
        )
    };
    Claim {
        cause,
        severity: Severity::Critical,
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            // Without a header it may still be a program of another machine that nobody could read.
            specificity: if is_of_a_machine { 1.0 } else { 0.8 },
            directness: 1.0,
        },
        until: fact.at,
        signs: vec![fact],
        is_event: false,
        what: format!("{file} could not be executed"),
        headline,
        explanation,
        impact: String::new(),
        remediation: vec![
            next.to_owned(),
            format!("look at what it is: file {}", word(&file)),
        ],
    }
    .holds(case)
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::Actor;
    use crate::testing::checks::causes;
    use crate::testing::scenario::{Nature, Scenario, stands};

    const SCENARIO: Scenario = Scenario {
        cause: "architecture-mismatch",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[2, 1],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let entry = Actor::new("entry", 40 + round);
        let mut failure = entry.exec_failed(&format!("exec-{round}"), ms, "/app/server", "ENOEXEC");
        if let SignalBody::ExecFailure(failure) = &mut failure.body {
            failure.machine = "aarch64".to_owned();
        }
        vec![
            failure,
            entry.gave_up(&format!("exit-{round}"), ms + 1, 126, vec![]),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let entry = Actor::new("entry", 40);
        let missing = vec![
            entry.exec_failed("exec", 0, "/app/server", "ENOENT"),
            entry.gave_up("exit", 1, 127, vec![]),
        ];
        let survived = signals(0, 0).into_iter().take(1).collect();
        let later = vec![
            signals(0, 0).remove(0),
            entry.gave_up("exit", 60_000, 1, vec![]),
        ];
        vec![
            ("a program that is missing", missing),
            ("a program that was tried and done without", survived),
            ("an end long after it", later),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn tells_a_file_that_is_no_program_from_one_of_another_machine() {
        let entry = Actor::new("entry", 40);
        let signals = vec![
            entry.exec_failed("exec", 0, "/app/run", "ENOEXEC"),
            entry.gave_up("exit", 1, 126, vec![]),
        ];
        assert_eq!(
            causes(signals),
            ["architecture-mismatch/not-executable-format"]
        );
    }
}
