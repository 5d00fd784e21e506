//! Counts tests from what cargo and libtest print.
//!
//! Counts a suite that died and a build that failed as failures: nothing that went wrong may
//! leave the sum clean.

use std::fmt;

/// How many tests passed, failed and were skipped.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    /// Tests that ran and passed.
    pub(crate) passed: usize,
    /// Tests that failed, suites that died, builds that failed.
    pub(crate) failed: usize,
    /// Tests that could not run here.
    pub(crate) skipped: usize,
    /// Why they could not.
    pub(crate) skip_reasons: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
            ..
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

impl Tally {
    /// One thing that could not run.
    pub(crate) fn skip(reason: String) -> Self {
        Self {
            skipped: 1,
            skip_reasons: vec![reason],
            ..Self::default()
        }
    }

    /// One thing that failed.
    pub(crate) fn failure() -> Self {
        Self {
            failed: 1,
            ..Self::default()
        }
    }

    /// Adds another tally to this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.skip_reasons.extend(other.skip_reasons);
    }

    /// Counts tests that returned early, which libtest takes for passed, as skipped.
    pub(crate) fn skip_passed(&mut self, reasons: Vec<String>) {
        self.passed = self.passed.saturating_sub(reasons.len());
        self.skipped += reasons.len();
        self.skip_reasons.extend(reasons);
    }

    /// Counts in the output of `cargo test`, both streams in the order in which they were written.
    pub(crate) fn parse(output: &str, succeeded: bool) -> Self {
        let mut tally = Self::default();
        let mut suite_is_open = false;
        for line in output.lines() {
            if starts_suite(line) {
                tally.failed += usize::from(suite_is_open);
                suite_is_open = true;
            } else if let Some(counts) = SuiteCounts::parse(line) {
                suite_is_open = false;
                tally.passed += counts.passed;
                tally.failed += counts.failed;
                tally.skipped += counts.ignored;
                tally
                    .skip_reasons
                    .extend((0..counts.ignored).map(|_| "a test is marked as ignored".to_owned()));
            }
        }
        tally.failed += usize::from(suite_is_open);
        if !succeeded && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }
}

/// Cargo indents what it says about its own steps; a test's output is not indented like that.
fn starts_suite(line: &str) -> bool {
    line.starts_with("     Running ") || line.starts_with("   Doc-tests ")
}

/// The counts of one `test result:` line.
#[derive(Debug, Eq, PartialEq)]
struct SuiteCounts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl SuiteCounts {
    fn parse(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |word: &str| {
            counts.split(';').find_map(|part| {
                let (number, name) = part.trim().split_once(' ')?;
                if name == word {
                    number.parse().ok()
                } else {
                    None
                }
            })
        };
        Some(Self {
            passed: count("passed")?,
            failed: count("failed")?,
            ignored: count("ignored")?,
        })
    }
}

/// Leaves out of an output what went well.
pub(crate) fn what_failed(output: &str) -> String {
    let is_news = |line: &&str| !is_routine(line);
    output
        .lines()
        .filter(is_news)
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_routine(line: &str) -> bool {
    const CARGO: [&str; 6] = [
        "Compiling ",
        "Checking ",
        "Downloaded ",
        "Downloading ",
        "Finished ",
        "Blocking ",
    ];
    let trimmed = line.trim_start();
    trimmed.is_empty()
        || CARGO.iter().any(|word| trimmed.starts_with(word))
        || line.starts_with("test ") && line.ends_with(" ... ok")
        || line.starts_with("test result: ok.")
        || line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
    const BAD: &str = "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";

    #[test]
    fn counts_what_cargo_prints() {
        let running = "     Running unittests src/lib.rs (target/debug/deps/a-1)";
        let doc_tests = "   Doc-tests a";
        let compile_error = "error[E0425]: cannot find value\nerror: could not compile `a`";
        let cases = [
            ("one suite", format!("{running}\n{OK}\n"), true, (3, 0, 1)),
            (
                "two suites",
                format!("{running}\n{OK}\n{running}\n{BAD}\n"),
                false,
                (5, 1, 1),
            ),
            (
                "doc tests end twice",
                format!("{doc_tests}\n{OK}\n{OK}\n"),
                true,
                (6, 0, 2),
            ),
            (
                "a suite that died",
                format!("{running}\nabort\n{running}\n{OK}\n"),
                false,
                (3, 1, 1),
            ),
            (
                "the last one died",
                format!("{running}\n{OK}\n{running}\n"),
                false,
                (3, 1, 1),
            ),
            (
                "does not compile",
                compile_error.to_owned(),
                false,
                (0, 1, 0),
            ),
            ("nothing", String::new(), true, (0, 0, 0)),
        ];
        for (name, output, succeeded, (passed, failed, skipped)) in cases {
            let tally = Tally::parse(&output, succeeded);
            assert_eq!(
                (tally.passed, tally.failed, tally.skipped),
                (passed, failed, skipped),
                "{name}"
            );
        }
    }

    #[test]
    fn test_that_returned_early_is_skipped_not_passed() {
        let mut tally = Tally {
            passed: 5,
            ..Tally::default()
        };
        tally.skip_passed(vec!["needs root".to_owned()]);
        assert_eq!(tally.to_string(), "4 passed, 0 failed, 1 skipped");
        assert_eq!(tally.skip_reasons, ["needs root"]);
    }

    #[test]
    fn shows_failures_and_compile_errors_only() {
        let output = "   Compiling a v0.1.0\nrunning 2 tests\ntest x::a ... ok\ntest x::b ... FAILED\n\
                      \nerror[E0425]: cannot find value\n";
        assert_eq!(
            what_failed(output),
            "test x::b ... FAILED\nerror[E0425]: cannot find value"
        );
    }
}
