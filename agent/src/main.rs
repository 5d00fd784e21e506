//! The `inquest-agent` binary: arguments, configuration, log and runtime; must not do anything else.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use inquest_agent::config::{Config, Surroundings};
use inquest_agent::telemetry::ErrorChain;
use inquest_agent::{run, telemetry};

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
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse_args(&error),
    };
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
    // One thread: the agent's work is small and comes in bursts; a second thread would cost memory
    // and wake-ups on every node.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?
        .block_on(Box::pin(run::run(config, log_level)))
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
