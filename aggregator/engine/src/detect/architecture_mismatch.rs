//! `architecture-mismatch`: the program is for another machine, or no program at all. Must not hold for a
//! missing file.

use super::claim::{Claim, ruled_out};
use super::{Detector, Verdict, exec_failure};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::explain::quote::{clean, word};
use crate::model::signal::ExecFailure;
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
        let Some(failure) = exec_failure::find(case) else {
            return Verdict::Silent;
        };
        if failure.record.errno != "ENOEXEC" {
            let fact = exec_failure::fact(case, failure);
            return ruled_out(
                self.cause(),
                "the kernel would have said ENOEXEC",
                vec![fact],
            );
        }
        match Content::of(failure.record) {
            Content::NoProgram => Verdict::Silent,
            content => claim(case, self.cause(), failure, content),
        }
    }
}

impl Detector for NotExecutableFormat {
    fn cause(&self) -> &'static str {
        "architecture-mismatch/not-executable-format"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let is_refused = |failure: &Observed<'_, ExecFailure>| failure.record.errno == "ENOEXEC";
        match exec_failure::find(case).filter(is_refused) {
            Some(failure) if Content::of(failure.record) == Content::NoProgram => {
                claim(case, self.cause(), failure, Content::NoProgram)
            }
            _ => Verdict::Silent,
        }
    }
}

/// What the agent found in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Content {
    /// The header of a program for some machine.
    Program,
    /// Neither a header nor the first line of a script.
    NoProgram,
    /// The file could not be read.
    Unread,
}

impl Content {
    fn of(failure: &ExecFailure) -> Self {
        if !failure.machine.is_empty() {
            Self::Program
        } else if failure.file_read {
            Self::NoProgram
        } else {
            Self::Unread
        }
    }
}

fn claim(
    case: &Case<'_>,
    cause: &'static str,
    failure: Observed<'_, ExecFailure>,
    content: Content,
) -> Verdict {
    let record = failure.record;
    let fact = exec_failure::fact(case, failure);
    let (victim, file) = (case.subject(), clean(&record.filename));
    let (why, explanation) = words(&file, &clean(&record.machine), content);
    let strength = Strength {
        prior: PRIOR,
        // What nobody could read is mostly an image of another architecture, and may be a script.
        specificity: if content == Content::Unread { 0.8 } else { 1.0 },
        directness: 1.0,
    };
    Claim {
        until: fact.at,
        signs: vec![fact],
        what: format!("{file} could not be executed"),
        headline: format!("{victim} could not execute {file}: {why}"),
        explanation,
        remediation: remediation(&file, content),
        ..Claim::of(case, cause, strength)
    }
    .holds(case)
}

fn words(file: &str, machine: &str, content: Content) -> (String, String) {
    match content {
        Content::Program => (
            format!("it is built for {machine}"),
            format!(
                "The header of {file} names the machine {machine}, and the kernel of this node cannot run \
                 such programs."
            ),
        ),
        Content::NoProgram => (
            "it is no program".to_owned(),
            format!(
                "The kernel knows no way to run {file}: it has no ELF header, and no \"#!\" line that names \
                 an interpreter."
            ),
        ),
        Content::Unread => (
            "this node cannot run its format".to_owned(),
            format!(
                "The kernel knows no way to run {file}: it is built for another machine, or is no program \
                 at all. The agent could not read it any more to tell which."
            ),
        ),
    }
}

fn remediation(file: &str, content: Content) -> Vec<String> {
    let architecture = "use an image for the architecture of the node, or a node of the image's: kubectl get \
                        node -L kubernetes.io/arch";
    let script = "give a script a first line such as #!/bin/sh, without a byte order mark before it, or name \
                  its interpreter in the command";
    let mut steps = match content {
        Content::Program => vec![architecture.to_owned()],
        Content::NoProgram => vec![script.to_owned()],
        Content::Unread => vec![architecture.to_owned(), script.to_owned()],
    };
    steps.push(format!("look at what it is: file {}", word(file)));
    steps
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
    fn tells_a_file_that_is_no_program_from_one_that_nobody_could_read() {
        for (file_read, cause) in [
            (true, "architecture-mismatch/not-executable-format"),
            (false, SCENARIO.cause),
        ] {
            let entry = Actor::new("entry", 40);
            let mut failure = entry.exec_failed("exec", 0, "/app/run", "ENOEXEC");
            if let SignalBody::ExecFailure(failure) = &mut failure.body {
                failure.file_read = file_read;
            }
            let signals = vec![failure, entry.gave_up("exit", 1, 126, vec![])];
            assert_eq!(causes(signals), [cause]);
        }
    }
}
