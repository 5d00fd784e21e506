//! `cargo xtask check`: what can be said about the sources without running the product.
//!
//! Runs every step even if one fails, so that one run shows everything there is to repair.

use std::process::{Command, ExitCode};

use crate::clock::Stopwatch;
use crate::command::{self, Show};
use crate::toolchain;
use crate::{build_ebpf, output, tidy, workspace};

type Step = fn() -> anyhow::Result<Verdict>;

/// How a step ended.
enum Verdict {
    Passed,
    Failed,
    Skipped(&'static str),
}

/// Runs all steps, prints the time of each and what failed.
pub(crate) fn check() -> ExitCode {
    let steps: [(&str, Step); 5] = [
        ("fmt", fmt),
        ("tidy", check_tidy),
        ("clippy", clippy),
        ("doc", doc),
        ("kernel programs", kernel_programs),
    ];
    let mut failed = Vec::new();
    for (name, step) in steps {
        let watch = Stopwatch::start();
        let verdict = step().unwrap_or_else(|error| {
            output::result(format_args!("{error:#}"));
            Verdict::Failed
        });
        let words = watch.words();
        match verdict {
            Verdict::Passed => output::result(format_args!("{name}: ok ({words})")),
            Verdict::Skipped(why) => output::result(format_args!("{name}: skipped: {why}")),
            Verdict::Failed => {
                output::result(format_args!("{name}: FAILED ({words})"));
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    output::result(format_args!("check failed: {}", failed.join(", ")));
    ExitCode::FAILURE
}

/// Runs the project's own rules alone.
pub(crate) fn tidy_alone() -> anyhow::Result<ExitCode> {
    Ok(match check_tidy()? {
        Verdict::Failed => ExitCode::FAILURE,
        Verdict::Passed | Verdict::Skipped(_) => ExitCode::SUCCESS,
    })
}

fn check_tidy() -> anyhow::Result<Verdict> {
    let problems = tidy::check_workspace(workspace::root())?;
    for problem in &problems {
        output::result(problem);
    }
    Ok(if problems.is_empty() {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

fn fmt() -> anyhow::Result<Verdict> {
    run("fmt", &mut cargo("fmt --all --check"))
}

/// The kernel programs are left out: clippy would need their target's `core`.
fn clippy() -> anyhow::Result<Verdict> {
    let args = "clippy --keep-going --workspace --exclude inquest-agent-ebpf --all-targets";
    run("clippy", cargo(args).args(["--", "-D", "warnings"]))
}

fn doc() -> anyhow::Result<Verdict> {
    run(
        "doc",
        cargo("doc --keep-going --no-deps").env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn cargo(args: &str) -> Command {
    let mut cargo = command::cargo();
    cargo.args(args.split(' '));
    cargo
}

fn kernel_programs() -> anyhow::Result<Verdict> {
    let candidates = toolchain::discover();
    if toolchain::choose(&candidates).chosen.is_none() {
        let why = "no toolchain for them; `cargo xtask build-ebpf` installs one";
        return Ok(Verdict::Skipped(why));
    }
    build_ebpf::build(build_ebpf::Options {
        log: false,
        may_install: false,
    })?;
    Ok(Verdict::Passed)
}

/// Runs a command whose whole output is shown when it fails.
fn run(name: &str, command: &mut Command) -> anyhow::Result<Verdict> {
    let outcome = command::run_to_end(&format!("check {name}"), command, Show::Heartbeat)?;
    if outcome.status.success() {
        return Ok(Verdict::Passed);
    }
    output::result(outcome.output()?.trim_end());
    Ok(Verdict::Failed)
}
