//! `entrypoint-not-found`: the program of a container or service is not there, has no interpreter, or may
//! not be executed. Must not hold for a search through directories that found it in the end.

use std::collections::BTreeSet;

use super::claim::{Claim, ruled_out};
use super::{Detector, Verdict, exec_failure};
use crate::correlate::case::Case;
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::model::signal::ExecFailure;
use crate::rank::Strength;

const PRIOR: f64 = 0.98;

/// Finds entry points that cannot be executed.
pub(super) struct EntrypointNotFound;

impl Detector for EntrypointNotFound {
    fn cause(&self) -> &'static str {
        "entrypoint-not-found"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(failure) = exec_failure::find(case) else {
            return Verdict::Silent;
        };
        let record = failure.record;
        let fact = exec_failure::fact(case, failure);
        let Some(why) = Why::of(case, record) else {
            let because = format!(
                "the file is there; the kernel said {}",
                clean(&record.errno)
            );
            return ruled_out(self.cause(), because, vec![fact]);
        };
        let victim = case.subject();
        Claim {
            cause: self.cause(),
            severity: Severity::Critical,
            entity: case.entity(),
            strength: Strength {
                prior: PRIOR,
                specificity: 1.0,
                directness: 1.0,
            },
            until: fact.at,
            signs: vec![fact],
            is_event: false,
            what: format!("{} could not be executed", clean(&record.filename)),
            headline: format!("{victim} could not start: {}", why.headline),
            explanation: why.explanation,
            impact: String::new(),
            remediation: why.remediation,
        }
        .holds(case)
    }
}

struct Why {
    headline: String,
    explanation: String,
    remediation: Vec<String>,
}

impl Why {
    fn of(case: &Case<'_>, record: &ExecFailure) -> Option<Self> {
        let file = clean(&record.filename);
        match record.errno.as_str() {
            "ENOENT" | "ENOTDIR" if !record.interpreter.is_empty() => {
                Some(Self::no_interpreter(&file, &clean(&record.interpreter)))
            }
            "ENOENT" | "ENOTDIR" => Some(Self::not_there(case, record)),
            "EACCES" | "EPERM" => Some(Self::not_executable(&file)),
            _ => None,
        }
    }

    fn no_interpreter(file: &str, interpreter: &str) -> Self {
        Self {
            headline: format!("the interpreter of {file}, {interpreter}, does not exist"),
            explanation: format!(
                "The file {file} is there, and names {interpreter} to run it, which is not. The kernel \
                 says ENOENT for both."
            ),
            remediation: vec![
                format!("install {interpreter} in the image, or build the program so that it needs none (static)"),
                "a script that was saved with line ends of Windows asks for an interpreter with a carriage return in its name".to_owned(),
            ],
        }
    }

    fn not_there(case: &Case<'_>, record: &ExecFailure) -> Self {
        let (file, tried) = (clean(&record.filename), tried(case, record));
        let search = if tried > 1 {
            format!(" It was looked for in {tried} directories.")
        } else {
            String::new()
        };
        Self {
            headline: format!("{file} does not exist"),
            explanation: format!("The kernel found no file {file} to execute.{search}"),
            remediation: vec![
                "compare command and entry point with what the image holds, spelling and case included".to_owned(),
                format!("look for it in the image: command -v {}", word(base(&file))),
                "check that a volume is not mounted over the directory that holds it".to_owned(),
            ],
        }
    }

    fn not_executable(file: &str) -> Self {
        Self {
            headline: format!("{file} may not be executed"),
            explanation: format!(
                "The file {file} is there, and the kernel refused to execute it: it lacks the x mode for \
                 this user, is a directory, or lies on a file system that is mounted with noexec."
            ),
            remediation: vec![
                format!("chmod +x {} where the image is built", word(file)),
                "look at the mount that holds it: findmnt -T, and its option noexec".to_owned(),
            ],
        }
    }
}

/// In how many directories the program was looked for: agents tell a search in vain by the program's bare
/// name, or step by step.
fn tried(case: &Case<'_>, record: &ExecFailure) -> u64 {
    if !record.filename.contains('/') {
        return record.count;
    }
    let failures = case.troubles.of::<ExecFailure>();
    let files: BTreeSet<&str> = failures
        .iter()
        .map(|failure| failure.record.filename.as_str())
        .filter(|other| base(other) == base(&record.filename))
        .collect();
    files.len() as u64
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, incidents_of};

    const SCENARIO: Scenario = Scenario {
        cause: "entrypoint-not-found",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[2, 1],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let entry = Actor::new("entry", 40 + round);
        let failed =
            |id: &str, ms, file| entry.exec_failed(&format!("{id}-{round}"), ms, file, "ENOENT");
        vec![
            failed("exec-1", ms, "/usr/bin/serve"),
            failed("exec-2", ms + 1, "/bin/serve"),
            entry.gave_up(&format!("exit-{round}"), ms + 2, 127, vec![]),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let entry = Actor::new("entry", 40);
        let searched = vec![entry.exec_failed("exec", 0, "/usr/local/bin/serve", "ENOENT")];
        let well = vec![
            entry.exec_failed("exec", 0, "/usr/local/bin/serve", "ENOENT"),
            entry.gave_up("exit", 500, 0, vec![]),
        ];
        let child = Actor::new("monitor", 40).child_of(4000);
        let tried = vec![
            child.exec_failed("exec", 0, "/usr/bin/nvidia-smi", "ENOENT"),
            child.helper_gave_up("exit", 1, 127, vec![]),
        ];
        let format = vec![
            entry.exec_failed("exec", 0, "/app/run", "ENOEXEC"),
            entry.gave_up("exit", 1, 126, vec![]),
        ];
        vec![
            ("a search through directories", searched),
            ("a program that was found and ended well", well),
            ("a file that is no program", format),
            ("a tool that a script tried and does without", tried),
        ]
    }

    stands!(SCENARIO);

    #[test]
    fn knows_processes_that_were_to_become_the_program_by_their_names() {
        for comm in ["runc:[2:INIT]", "crun", "(shop)"] {
            let starter = Actor::new(comm, 40).child_of(4000);
            let signals = vec![
                starter.exec_failed("exec", 0, "/app/serve", "ENOENT"),
                starter.helper_gave_up("exit", 1, 1, vec![]),
            ];
            let causes = crate::testing::checks::causes(signals);
            assert_eq!(causes, [SCENARIO.cause], "{comm}");
        }
    }

    #[test]
    fn tells_a_search_in_vain_by_name_and_number_of_directories() {
        let entry = Actor::new("entry", 40);
        let mut failure = entry.exec_failed("exec", 0, "serve", "ENOENT");
        if let SignalBody::ExecFailure(failure) = &mut failure.body {
            failure.count = 6;
        }
        let signals = vec![failure, entry.gave_up("exit", 1, 127, vec![])];
        let incident = &incidents_of(signals)[0];
        assert!(incident.headline.ends_with("serve does not exist"));
        assert!(incident.explanation.contains("in 6 directories"));
    }

    #[test]
    fn says_whether_file_interpreter_or_mode_is_wanting() {
        for (errno, interpreter, words) in [
            ("ENOENT", "", "/app/run does not exist"),
            (
                "ENOENT",
                "/bin/bash",
                "the interpreter of /app/run, /bin/bash, does not exist",
            ),
            ("EACCES", "", "/app/run may not be executed"),
        ] {
            let entry = Actor::new("entry", 40);
            let mut failure = entry.exec_failed("exec", 0, "/app/run", errno);
            if let SignalBody::ExecFailure(failure) = &mut failure.body {
                failure.interpreter = interpreter.to_owned();
            }
            let signals = vec![failure, entry.gave_up("exit", 1, 127, vec![])];
            let headline = &incidents_of(signals)[0].headline;
            assert!(headline.ends_with(words), "{headline}");
        }
    }
}
