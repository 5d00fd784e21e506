//! Runs the real binary in a known environment. Must inherit nothing that changes its output.

use std::process::{Command, Output, Stdio};

use crate::server::Server;

/// One call of the program.
pub(crate) struct Call {
    command: Command,
}

/// What it printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `inquest ARGS`, words separated by spaces.
pub(crate) fn inquest(args: &str) -> Call {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inquest"));
    command
        .args(args.split_whitespace())
        .env_clear()
        .env("COLUMNS", "100")
        .env("INQUEST_AGGREGATOR", "http://127.0.0.1:9")
        .stdin(Stdio::null());
    Call { command }
}

impl Call {
    pub(crate) fn at(self, server: &Server) -> Self {
        self.at_url(&server.url())
    }

    pub(crate) fn at_url(self, url: &str) -> Self {
        self.env("INQUEST_AGGREGATOR", url)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn run(mut self) -> Ended {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command.output().unwrap();
        Ended {
            code: status.code().expect("it was ended by a signal"),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}

impl Ended {
    /// It ended well and had nothing to say; gives its data.
    #[track_caller]
    pub(crate) fn quietly(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{self:?}");
        self.stdout
    }

    /// It ended with `code`, an error in three lines and no data; gives the error.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        let starts = ["error: ", "why:   ", "next:  "];
        assert_eq!(lines.len(), starts.len(), "{self:?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(
                line.starts_with(start) && line.len() > start.len(),
                "{line}"
            );
        }
        self.stderr
    }
}
