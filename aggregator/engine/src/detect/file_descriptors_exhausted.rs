//! `file-descriptors-exhausted`: a process, or the node, may open no more files. Must not hold for a
//! process that is near its limit and gets along.

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict, last_word};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::label;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::explain::quote::clean;
use crate::model::signal::{ResourceUsage, SyscallFailure, SyscallFailures};
use crate::rank::Strength;

/// Fewer calls that fail so are a burst that passed.
const MIN_FAILURES: u64 = 5;

/// Finds processes that may open no more files.
pub(super) struct FileDescriptorsExhausted;

impl Detector for FileDescriptorsExhausted {
    fn cause(&self) -> &'static str {
        "file-descriptors-exhausted"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let last = last_word::find(case, |call| is_limit(&call.errno));
        if let Some(last) = last {
            let fact = last.fact(case);
            let is_node = last.call.errno == "ENFILE";
            return self.claim(case, is_node, vec![fact], last.specificity());
        }
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<SyscallFailures>();
        let failing: Vec<_> = all
            .into_iter()
            .filter(|window| at_limit(window.record).next().is_some())
            .collect();
        let spell = last_spell(&failing);
        let records = || spell.iter().flat_map(|window| at_limit(window.record));
        if records().map(|failure| failure.count).sum::<u64>() < MIN_FAILURES {
            return Verdict::Silent;
        }
        let is_node = records().all(|failure| failure.errno == "ENFILE");
        let signs = cited(case, spell)
            .iter()
            .map(|window| fact(case, *window))
            .collect();
        self.claim(case, is_node, signs, 1.0)
    }
}

impl FileDescriptorsExhausted {
    fn claim(
        &self,
        case: &Case<'_>,
        is_node: bool,
        mut signs: Vec<Fact>,
        specificity: f64,
    ) -> Verdict {
        let who = case.subject();
        let usage = case.troubles.of::<ResourceUsage>();
        let usage = usage.iter().rfind(|usage| {
            let (open, max) = (usage.record.open_files, usage.record.open_files_max);
            open.zip(max)
                .is_some_and(|(open, max)| open * 10 >= max * 9)
        });
        signs.extend(usage.map(|usage| usage_fact(case, *usage)));
        let limit = if is_node {
            "the node's limit of open files (fs.file-max)"
        } else {
            "its limit of open files (RLIMIT_NOFILE)"
        };
        let strength = Strength {
            prior: 0.95,
            specificity,
            directness: 1.0,
        };
        Claim {
            until: signs.iter().map(|sign| sign.at).max().unwrap_or_default(),
            signs,
            what: format!("{limit} was reached"),
            headline: match case.death() {
                Some(_) => format!("{who} gave up: {limit} was reached"),
                None => format!("{who} cannot open files or sockets: {limit} is reached"),
            },
            explanation: "The kernel gives no more descriptors: files, sockets and pipes all take one. Mostly \
                          connections or files are opened and never closed."
                .to_owned(),
            impact: format!("{who} accepts no connection and opens no file while it lasts"),
            remediation: vec![
                "see what is open: ls -l /proc/PID/fd, or lsof -p PID, and count by kind".to_owned(),
                "if all of it is needed, raise the limit: LimitNOFILE= of the unit, --ulimit nofile, fs.file-max".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

fn is_limit(errno: &str) -> bool {
    errno == "EMFILE" || errno == "ENFILE"
}

fn at_limit(window: &SyscallFailures) -> impl Iterator<Item = &SyscallFailure> {
    let failures = window.failures.iter();
    failures.filter(|failure| is_limit(&failure.errno))
}

fn fact(case: &Case<'_>, window: Observed<'_, SyscallFailures>) -> Fact {
    let calls: Vec<String> = at_limit(window.record)
        .map(|failure| {
            let times = count(failure.count, "time");
            format!(
                "{} {times} with {}",
                clean(&failure.syscall),
                clean(&failure.errno)
            )
        })
        .collect();
    let text = format!(
        "{}: within {} these calls failed: {}",
        case.subject(),
        duration(window.at.since(window.record.start)),
        calls.join(", ")
    );
    case.sign(window, text)
}

fn usage_fact(case: &Case<'_>, usage: Observed<'_, ResourceUsage>) -> Fact {
    let record = usage.record;
    let process = record.open_files_process.as_ref();
    let process = process.map_or_else(|| "one of its processes".to_owned(), label);
    let text = format!(
        "{}: {process} has {} files open and may have {}",
        case.subject(),
        record.open_files.unwrap_or(0),
        record.open_files_max.unwrap_or(0)
    );
    case.sign(usage, text)
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{SyscallFailure, SyscallFailures};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::checks::opens;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::call;
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "file-descriptors-exhausted",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[2, 1],
        look_alikes,
    };

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let pid = 40 + round;
        let words = vec![call(pid, ms - 10, "openat", "EMFILE", "/data/orders.db")];
        vec![Actor::new("shop", pid).gave_up(&format!("exit-{round}"), ms, 1, words)]
    }

    fn failures(count: u64) -> Signal {
        let failure = SyscallFailure {
            syscall: "accept4".to_owned(),
            errno: "EMFILE".to_owned(),
            count,
        };
        let window = SyscallFailures {
            start: at_ms(-1000),
            failures: vec![failure],
        };
        Actor::new("shop", 40).signal("w", at_ms(0), SignalBody::SyscallFailures(window))
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![("a burst that passed", vec![failures(2)])]
    }

    stands!(SCENARIO);

    #[test]
    fn names_the_limit_that_was_reached() {
        for (errno, limit) in [("EMFILE", "RLIMIT_NOFILE"), ("ENFILE", "fs.file-max")] {
            let words = vec![call(40, -10, "openat", errno, "/data/orders.db")];
            let exit = Actor::new("shop", 40).gave_up("exit", 0, 1, words);
            let incident = opens(vec![exit], SCENARIO.cause, Severity::Critical);
            assert!(incident.headline.contains(limit), "{}", incident.headline);
        }
    }

    #[test]
    fn holds_without_a_death_too() {
        let incident = opens(vec![failures(40)], SCENARIO.cause, Severity::Warning);
        assert!(
            incident.evidence[0]
                .text
                .contains("accept4 40 times with EMFILE")
        );
    }
}
