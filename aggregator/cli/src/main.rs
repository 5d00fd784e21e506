//! The `inquest` command: parses what was asked, does it, and ends with a documented exit code.
//! Must hold no logic of its own.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod age;
mod agent_page;
mod args;
mod bundle;
mod client;
mod commands;
mod failure;
mod output;

fn main() -> ExitCode {
    let invocation = match args::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => return output::usage(&error).into(),
    };
    let name = invocation.name;
    match commands::run(invocation) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure, name);
            failure.exit.into()
        }
    }
}
