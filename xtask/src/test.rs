//! `cargo xtask test`: runs every test that this machine can run and counts them.
//!
//! The last line is `N passed, N failed, N skipped`. What could not run is counted and named, never
//! silently left out.

mod tally;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use self::tally::Tally;
use crate::build_ebpf::{self, Options};
use crate::command::{self, Show};
use crate::{clock, output, release, toolchain, workspace};

/// The file to which a test that cannot run appends its reason.
const SKIP_FILE_VARIABLE: &str = "INQUEST_SKIP_FILE";

/// Runs all tests; fails when one does.
pub(crate) fn test() -> anyhow::Result<ExitCode> {
    let mut total = Tally::default();
    let kernel_programs = build_ebpf::build(Options {
        log: false,
        may_install: true,
    });

    let mut cargo = command::cargo();
    cargo.args(["test", "--no-fail-fast"]);
    total.add(run_suite("tests of the default members", &mut cargo)?);
    total.add(match kernel_programs {
        Ok(()) => end_to_end()?,
        Err(error) => without_kernel_programs(&error),
    });

    for reason in &total.skip_reasons {
        output::result(format_args!("skipped: {reason}"));
    }
    let code = if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    output::result(total);
    Ok(code)
}

/// Without a toolchain the end-to-end tests cannot run; with one, programs that do not build are a
/// failure.
fn without_kernel_programs(error: &anyhow::Error) -> Tally {
    if toolchain::choose(&toolchain::discover()).chosen.is_none() {
        return Tally::skip(format!("end-to-end tests: {error:#}"));
    }
    output::result(format_args!("{error:#}"));
    Tally::failure()
}

/// Runs the tests against the real binaries. They share the kernel's event stream, so one at a
/// time. Those that need root say so themselves.
fn end_to_end() -> anyhow::Result<Tally> {
    if let Err(error) = release::build_binaries() {
        output::result(format_args!("{error:#}"));
        return Ok(Tally::failure());
    }
    let mut cargo = command::cargo();
    cargo.args([
        "test",
        "--no-fail-fast",
        "--package",
        "e2e",
        "--",
        "--test-threads=1",
    ]);
    run_suite("end-to-end tests", &mut cargo)
}

fn run_suite(name: &str, cargo: &mut Command) -> anyhow::Result<Tally> {
    let skips = SkipFile::create(name)?;
    cargo.env(SKIP_FILE_VARIABLE, &skips.0);
    let outcome = command::run_to_end(name, cargo, Show::Heartbeat)?;
    let text = outcome.output()?;
    let mut tally = Tally::parse(&text, outcome.status.success());
    tally.skip_passed(skips.reasons()?);
    if tally.failed > 0 {
        output::result(tally::what_failed(&text));
    }
    let words = clock::in_words(outcome.elapsed);
    output::result(format_args!("{name}: {tally} ({words})"));
    Ok(tally)
}

/// A file of reasons, one a line.
struct SkipFile(PathBuf);

impl SkipFile {
    fn create(suite: &str) -> anyhow::Result<Self> {
        let path = workspace::logs().join(format!("{}.skips", suite.replace(' ', "-")));
        let dir = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
        fs::write(&path, "").with_context(|| format!("failed to create {}", path.display()))?;
        Ok(Self(path))
    }

    fn reasons(&self) -> anyhow::Result<Vec<String>> {
        let text = command::read_lossy(&self.0)?;
        let lines = text
            .lines()
            .map(|line| line.strip_prefix("inquest-skip: ").unwrap_or(line));
        Ok(lines
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect())
    }
}
