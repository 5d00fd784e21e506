//! `file-missing`: the main process of a workload ended because a file that it needs is not there. Must
//! not hold for what every program looks for when it starts, nor for a file that was missed long before.

use std::time::Duration;

use super::claim::{Claim, ruled_out};
use super::last_word::{self, LastWord, is_look};
use super::startup::{file_name, is_missing_library, is_noise};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::explain::quote::{clean, word};
use crate::model::Severity;
use crate::model::signal::FailedCall;
use crate::rank::Strength;

const PRIOR: f64 = 0.95;

/// A program that ends for a missing file has hardly anything left to do: a message, a stack trace.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How directly the call shows the cause: of a file that was opened, of one that was only asked for, and how
/// much less when the program went on for a while.
const OPENED: f64 = 0.9;
const ASKED_FOR: f64 = 0.7;
const WENT_ON: f64 = 0.1;

/// Finds files without which a program gave up.
pub(super) struct FileMissing;

impl Detector for FileMissing {
    fn cause(&self) -> &'static str {
        "file-missing"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(death) = case.failed_main() else {
            return Verdict::Silent;
        };
        let code = death.exit.map_or(0, |exit| exit.record.code);
        let is_missing = |call: &FailedCall| {
            call.errno == "ENOENT"
                && !call.path.is_empty()
                && !call.syscall.starts_with("exec")
                && (!is_noise(call) || is_missing_library(call, code))
        };
        // What a program opens it needs; what it only asks for it can often do without.
        let opened = last_word::find(case, |call| is_missing(call) && !is_look(&call.syscall));
        if let Some(word) = opened {
            return claim(case, word, OPENED);
        }
        let searched = last_word::searched_for(case);
        let is_looked_for =
            |call: &FailedCall| is_missing(call) && !searched.contains(file_name(&call.path));
        match last_word::find(case, is_looked_for) {
            Some(word) if word.is_last => claim(case, word, ASKED_FOR),
            Some(word) => ruled_out(
                self.cause(),
                "it was only asked for, and other calls failed after it",
                vec![word.fact(case)],
            ),
            None => Verdict::Silent,
        }
    }
}

fn claim(case: &Case<'_>, word: LastWord<'_>, directness: f64) -> Verdict {
    let went_on = if word.before_end > AT_ONCE {
        WENT_ON
    } else {
        0.0
    };
    let victim = case.subject();
    let path = clean(&word.call.path);
    let code = case
        .failed_main()
        .and_then(|death| death.exit)
        .map_or(0, |exit| exit.record.code);
    let fact = word.fact(case);
    let relative = if path.starts_with('/') {
        String::new()
    } else {
        " The path is relative: it was looked for in the working directory.".to_owned()
    };
    Claim {
        cause: "file-missing",
        severity: Severity::Critical,
        entity: case.entity(),
        strength: Strength {
            prior: PRIOR,
            specificity: word.specificity(),
            directness: directness - went_on,
        },
        until: fact.at,
        signs: vec![fact],
        is_event: false,
        what: format!("{path} was not there"),
        headline: format!("{victim} ended with exit code {code}: {path} does not exist"),
        explanation: format!(
            "The last file that {victim} asked for in vain before it gave up is {path}.{relative}"
        ),
        impact: String::new(),
        remediation: vec![
            format!("make {path} available to {victim}: look for it in the image, and among what is mounted"),
            format!("if it is there: compare spelling and case with what the program asks for, {}", word_of(&path)),
            "if it comes from a ConfigMap or Secret: check the key and the path of its mount".to_owned(),
        ],
    }
    .holds(case)
}

fn word_of(path: &str) -> String {
    word(path)
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::{call, connect, database, flow};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "file-missing",
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals,
        supports: &[2, 1],
        look_alikes,
    };

    const CONFIG: &str = "/etc/shop/config.yaml";

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let pid = 40 + round;
        let words = vec![
            call(pid, ms - 30, "openat", "ENOENT", "/etc/ld.so.preload"),
            call(
                pid,
                ms - 20,
                "newfstatat",
                "ENOENT",
                "/etc/shop/config.local.yaml",
            ),
            call(pid, ms - 10, "openat", "ENOENT", CONFIG),
            call(
                pid,
                ms - 5,
                "openat",
                "ENOENT",
                "/usr/lib/locale/C.UTF-8/LC_MESSAGES/libc.mo",
            ),
        ];
        let shop = Actor::new("shop", pid);
        vec![shop.gave_up(&format!("exit-{round}"), ms, 1, words)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let shop = Actor::new("shop", 40);
        let missing = || vec![call(40, -10, "openat", "ENOENT", CONFIG)];
        let start = || {
            vec![
                call(40, -30, "openat", "ENOENT", "/etc/ld.so.preload"),
                call(
                    40,
                    -20,
                    "openat",
                    "ENOENT",
                    "/usr/share/locale/de/LC_MESSAGES/shop.mo",
                ),
                call(
                    40,
                    -10,
                    "openat",
                    "ENOENT",
                    "/usr/lib/glibc-hwcaps/x86-64-v3/libm.so.6",
                ),
            ]
        };
        let long_ago = vec![call(40, -60_000, "openat", "ENOENT", CONFIG)];
        let refused = vec![
            call(
                40,
                -30,
                "newfstatat",
                "ENOENT",
                "/etc/shop/config.local.yaml",
            ),
            connect(40, -10, "ECONNREFUSED", database()),
        ];
        let worker = Actor::new("worker", 41).child_of(40);
        let after_oom = vec![
            worker.oom("oom", at_ms(-1000)),
            worker.exit("worker", at_ms(-990), 9),
            shop.gave_up("s", 0, 1, missing()),
        ];
        let after_crash = vec![
            worker.exit("worker", at_ms(-990), 11),
            shop.gave_up("s", 0, 1, missing()),
        ];
        vec![
            ("a program whose worker was killed for memory", after_oom),
            ("a program whose worker crashed", after_crash),
            (
                "a program that ended well",
                vec![shop.gave_up("s", 0, 0, missing())],
            ),
            (
                "a shell's helper that found nothing",
                vec![shop.helper_gave_up("s", 0, 2, missing())],
            ),
            (
                "what every start fails at",
                vec![shop.gave_up("s", 0, 1, start())],
            ),
            (
                "a file that was missed long before",
                vec![shop.gave_up("s", 0, 1, long_ago)],
            ),
            (
                "a file only looked for, before a refused connection",
                vec![shop.gave_up("s", 0, 1, refused)],
            ),
            (
                "a program that was asked to stop",
                vec![shop.gave_up("s", 0, 143, missing())],
            ),
        ]
    }

    stands!(SCENARIO);

    /// What `strace` shows of programs that end with an error for another reason than a missing file.
    #[test]
    fn does_not_take_what_programs_look_for_everywhere_for_what_they_miss() {
        let programs: [(&str, &[(&str, &str)]); 6] = [
            (
                "curl http://127.0.0.1:1",
                &[
                    ("openat", "/root/.curlrc"),
                    ("openat", "/root/.config/curlrc"),
                    ("openat", "/usr/share/locale/C/LC_MESSAGES/libc.mo"),
                ],
            ),
            (
                "bash -c 'exit 1'",
                &[
                    ("openat", "/usr/lib/locale/C.UTF-8/LC_CTYPE"),
                    ("newfstatat", "/usr/local/sbin/bash"),
                    ("newfstatat", "/usr/local/bin/bash"),
                    ("newfstatat", "/usr/sbin/bash"),
                ],
            ),
            (
                "perl -e 'use POSIX; exit 1'",
                &[
                    ("newfstatat", "/etc/perl/Exporter/Heavy.pmc"),
                    ("newfstatat", "/etc/perl/Exporter/Heavy.pm"),
                    ("newfstatat", "/usr/share/perl5/Exporter/Heavy.pm"),
                    (
                        "newfstatat",
                        "/usr/lib/x86_64-linux-gnu/perl-base/Exporter/Heavy.pmc",
                    ),
                ],
            ),
            (
                "python3 -c 'import json; raise SystemExit(1)'",
                &[
                    ("newfstatat", "/usr/lib/python3.11/json/__init__.abi3.so"),
                    ("newfstatat", "/usr/lib/python3.11/json/__init__.so"),
                    ("openat", "/usr/lib/python3.11/lib/libssl.so.3"),
                ],
            ),
            (
                "sqlite3 :memory: 'select foo'",
                &[("access", ":memory:"), ("openat", ":memory:")],
            ),
            (
                "java -cp /tmp NoSuch",
                &[
                    ("openat", "/usr/lib/jvm/java-17/lib/x86_64/libnet.so"),
                    ("newfstatat", "/tmp/.java_pid3518"),
                    ("newfstatat", "/usr/lib/jvm/java-17/lib/haswell"),
                    ("openat", "/usr/lib/jvm/java-17/lib/libnet.so"),
                ],
            ),
        ];
        for (program, calls) in programs {
            let calls = calls
                .iter()
                .map(|(syscall, path)| call(40, -10, syscall, "ENOENT", path));
            let shop = Actor::new("shop", 40);
            let exit = shop.gave_up("s", 0, 1, calls.collect());
            assert_eq!(
                crate::testing::checks::causes(vec![exit]),
                [""; 0],
                "{program}"
            );
        }
    }

    #[test]
    fn names_the_file_and_not_what_was_only_looked_for() {
        let incident = &crate::testing::incidents_of(signals(0, 0))[0];
        assert_eq!(
            incident.headline,
            "shop[40] ended with exit code 1: /etc/shop/config.yaml does not exist"
        );
    }

    /// `git clone http://127.0.0.1:1/x`: its helper is refused while it waits.
    #[test]
    fn gives_way_to_a_connection_when_the_program_went_on() {
        let git = Actor::new("git", 40);
        let cause = |before_end: i64| {
            let words = vec![call(40, -before_end, "openat", "ENOENT", "x/.git/config")];
            let signals = vec![
                git.flows("flows", 0, vec![flow(database(), 1, 0)]),
                git.gave_up("exit", 0, 128, words),
            ];
            crate::testing::checks::causes(signals)
        };
        assert_eq!(cause(190), ["dependency-unavailable"]);
        assert_eq!(cause(10), [SCENARIO.cause]);
    }

    #[test]
    fn names_a_library_that_the_loader_did_not_find() {
        let words = vec![call(40, -1, "openat", "ENOENT", "/usr/lib/libpq.so.5")];
        let shop = Actor::new("shop", 40);
        let incident = &crate::testing::incidents_of(vec![shop.gave_up("s", 0, 127, words)])[0];
        assert!(
            incident.headline.contains("libpq.so.5"),
            "{}",
            incident.headline
        );
    }
}
