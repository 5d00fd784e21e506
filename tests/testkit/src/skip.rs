//! Says that a test cannot run here. Must never be used to hide a failure.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

/// Names the file to which each skipped test appends one line.
const FILE_VARIABLE: &str = "INQUEST_SKIP_FILE";

/// Counts the calling test as skipped for `reason`; the test must return right after.
///
/// Prints `inquest-skip: REASON` and appends the same line to the file that `INQUEST_SKIP_FILE`
/// names, from which `cargo xtask test` counts.
pub fn skip(reason: impl std::fmt::Display) {
    let line = format!("inquest-skip: {reason}");
    let recorded = record(&line);
    let mut stderr = io::stderr().lock();
    let printed = match recorded {
        Ok(()) => writeln!(stderr, "{line}"),
        Err(error) => writeln!(stderr, "{line} (not counted: {error})"),
    };
    // A closed stderr leaves nobody to tell.
    drop(printed);
}

fn record(line: &str) -> io::Result<()> {
    let Some(path) = std::env::var_os(FILE_VARIABLE) else {
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // One write, so that tests that run at once do not mix their lines.
    file.write_all(format!("{line}\n").as_bytes())
}
