//! What a harness prints for people. Nothing else in this package may write to the terminal.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints one line of a result to stdout.
pub fn line(text: impl Display) {
    // A reader that has gone (`| head`) is no reason to stop: the exit code still tells the result.
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Prints one line of talk to stderr.
pub fn talk(text: impl Display) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
