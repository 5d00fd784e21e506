//! What is shown to the person at the terminal; the only file of this package that prints.
//!
//! Results go to standard output, progress to standard error.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one module that prints"
)]

use std::fmt::Display;

/// Prints a line of the result.
pub(crate) fn result(line: impl Display) {
    println!("{line}");
}

/// Prints a line about work in progress.
pub(crate) fn progress(line: impl Display) {
    eprintln!("{line}");
}

/// Passes on a piece of a child's output as it is.
pub(crate) fn pass_on(text: &str) {
    eprint!("{text}");
}
