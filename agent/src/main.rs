//! The `inquest-agent` binary: arguments, configuration, log and runtime; must not do anything else.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use inquest_agent::config::{Config, Surroundings};
use inquest_agent::self_test::{self, OutputFormat};
use inquest_agent::telemetry::ErrorChain;
use inquest_agent::{heap, run, telemetry};
use tokio::runtime::Runtime;

/// `EX_USAGE` of sysexits.h: the arguments or the configuration are wrong.
const EXIT_USAGE: u8 = 64;

/// Watches this node by eBPF and tells the aggregator what ended its processes.
#[derive(Debug, Parser)]
#[command(name = "inquest-agent", version)]
struct Args {
    /// Configuration file (YAML); without it the defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check the configuration, print it with the defaults filled in, and exit
    #[arg(long)]
    check_config: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes each signal happen in a scratch cgroup, and looks whether this agent can tell it here
    #[command(
        after_help = "Prints a line for each check: pass, fail, or not possible here, and why. \
Leaves nothing behind. Ends with 1 when a check fails.

Examples:
  inquest-agent self-test
  inquest-agent self-test --only oom_kill -o json"
    )]
    SelfTest(self_test::Options),
    /// Does what a check of the self-test is about
    #[command(hide = true)]
    SelfTestActor(self_test::actor::Args),
}

fn main() -> ExitCode {
    heap::keep_little();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse_args(&error),
    };
    match args.command {
        Some(Command::SelfTest(options)) => return test_self(&options),
        Some(Command::SelfTestActor(args)) => return self_test::actor::run(&args),
        None => {}
    }
    let config = match Config::load(args.config.as_deref(), &Surroundings::read()) {
        Ok(config) => config,
        Err(error) => {
            complain(&ErrorChain(&error).to_string());
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let outcome = if args.check_config {
        print_config(&config)
    } else {
        start(config)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&ErrorChain(error.as_ref()).to_string());
            ExitCode::FAILURE
        }
    }
}

fn start(config: Config) -> anyhow::Result<()> {
    let log_level = telemetry::start(&config.log.level, config.log.format)?;
    runtime()?.block_on(Box::pin(run::run(config, log_level)))
}

/// One thread: the agent's work is small and comes in bursts; a second thread would cost memory and wake-ups
/// on every node.
fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")
}

fn test_self(options: &self_test::Options) -> ExitCode {
    match try_test_self(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&ErrorChain(error.as_ref()).to_string());
            ExitCode::FAILURE
        }
    }
}

/// Returns whether nothing failed.
fn try_test_self(options: &self_test::Options) -> anyhow::Result<bool> {
    let for_people = options.output == OutputFormat::Table;
    let report = runtime()?.block_on(Box::pin(self_test::run(options, |outcome| {
        if for_people {
            print_line(outcome);
        }
    })))?;
    if for_people {
        print_line(&report);
    } else {
        print_line(serde_json::to_string(&report).context("failed to print the report")?);
    }
    Ok(report.is_good())
}

fn print_line(line: impl Display) {
    // A reader that has gone is no reason to stop: the exit code still tells the result.
    drop(writeln!(io::stdout(), "{line}"));
}

fn print_config(config: &Config) -> anyhow::Result<()> {
    let yaml = config
        .to_yaml()
        .context("failed to print the configuration")?;
    io::stdout()
        .write_all(yaml.as_bytes())
        .context("failed to print the configuration")
}

/// `--help` and `--version` come this way too, and are no mistake.
fn refuse_args(error: &clap::Error) -> ExitCode {
    let printed = error.print().is_ok();
    match (error.use_stderr(), printed) {
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
        (true, _) => ExitCode::from(EXIT_USAGE),
    }
}

fn complain(message: &str) {
    // With standard error gone there is nobody left to tell; the exit code remains.
    drop(writeln!(io::stderr(), "inquest-agent: {message}"));
}
