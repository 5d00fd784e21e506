//! How a command ends: the documented exit codes, and an error as a person reads it. Must not print.

use std::process::ExitCode;

/// The exit codes of `inquest`, as `docs/cli.md` documents them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    Ok,
    Error,
    Usage,
    /// Not found, or not authorized to see it.
    NotFound,
    /// An incident is open; only with `--exit-code`.
    OpenIncident,
    /// Ended by Ctrl-C.
    Interrupted,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::OpenIncident => 10,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error in three lines: what did not work, why, and what to do next.
///
/// A command in `next` is written `` `inquest …` `` and printed the way the program was called.
#[derive(Debug)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub what: String,
    pub why: String,
    pub next: String,
}

impl Failure {
    /// An error with exit code 1.
    pub(crate) fn new(
        what: impl Into<String>,
        why: impl std::fmt::Display,
        next: impl Into<String>,
    ) -> Self {
        Self {
            exit: Exit::Error,
            what: what.into(),
            why: why.to_string(),
            next: next.into(),
        }
    }

    /// The same error with another exit code.
    #[must_use]
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}
