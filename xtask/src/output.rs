//! What is shown to the person at the terminal; the only file of this package that prints.
//!
//! Results go to standard output, progress to standard error.
//! That nobody reads any more is no failure: the work goes on.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints a line of the result.
pub(crate) fn result(line: impl Display) {
    drop(writeln!(io::stdout(), "{line}"));
}

/// Prints a line about work in progress.
pub(crate) fn progress(line: impl Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Passes on a piece of a child's output as it is.
pub(crate) fn pass_on(text: &str) {
    drop(write!(io::stderr(), "{text}"));
}
