//! `cargo xtask test-kernel`: gets the kernels that are asked for and hands them over to the harness.
//!
//! Knows nothing of what is tested on them.

use anyhow::bail;

use crate::kernels::{self, MATRIX, Series};
use crate::{apt, output, release};

/// The harness's subcommand.
const SUBCOMMAND: &str = "test-kernel";
/// What boots a guest.
const EMULATOR: &str = "qemu-system-x86_64";
/// The package that has it.
const EMULATOR_PACKAGE: &str = "qemu-system-x86";

/// Runs the tests on this machine's kernel for `--host`, else in guests: of the series named in
/// `args`, or of all.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let is_for_harness = |arg: &String| matches!(arg.as_str(), "--host" | "--help" | "-h");
    if args.iter().any(is_for_harness) {
        return release::run_harness(SUBCOMMAND, args);
    }
    let (wanted, passed_on): (Vec<_>, Vec<_>) =
        args.iter().cloned().partition(|arg| series(arg).is_some());
    let is_wanted =
        |series: &&Series| wanted.is_empty() || wanted.iter().any(|name| name == series.name);
    let guests = MATRIX.iter().filter(is_wanted).map(guest);
    let mut args = guests.collect::<anyhow::Result<Vec<_>>>()?.concat();
    args.extend(passed_on);
    if !apt::is_on_path(EMULATOR) {
        apt::install(&[EMULATOR_PACKAGE])?;
    }
    release::run_harness(SUBCOMMAND, &args)
}

fn series(name: &str) -> Option<&'static Series> {
    MATRIX.iter().find(|series| series.name == name)
}

/// What the harness is told of one guest: its kernel, or why there is none.
fn guest(series: &Series) -> anyhow::Result<[String; 2]> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("guests are x86-64 machines; this one is not, and the agent is built for it");
    }
    let name = series.name;
    match kernels::folder(series) {
        Ok(folder) => Ok(["--guest".to_owned(), format!("{name}={}", folder.display())]),
        Err(error) if series.required => Err(error),
        Err(error) => {
            output::progress(format_args!("{error:#}"));
            let why = format!("{error:#}");
            let line = why.lines().next().unwrap_or_default();
            Ok(["--without".to_owned(), format!("{name}={line}")])
        }
    }
}
