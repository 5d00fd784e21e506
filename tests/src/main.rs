//! The binary `inquest-e2e`: runs one harness, or, started by one, is a victim.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use e2e::{output, victim};

/// Proofs against the real binaries; run them as `cargo xtask demo|bench|test-*`.
#[derive(Debug, Parser)]
#[command(name = "inquest-e2e", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Is made to die.
    #[command(hide = true)]
    Victim(victim::act::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            output::talk(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Victim(args) => victim::act::run(&args),
    }
}
