//! The `inquest-aggregator` binary: arguments, configuration, logs, signals. Must hold nothing that a
//! test of the library could want to reach.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use inquest_aggregator::{
    Aggregator,
    config::Config,
    telemetry::{self, ErrorChain},
};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Exit code for wrong usage and wrong configuration, as sysexits.h has it.
const EXIT_USAGE: u8 = 64;
/// Threads for sockets; the pipeline has its own.
const WORKER_THREADS: usize = 2;
/// The pipeline, two readers of the store and room for name lookups of the model's client.
const MAX_BLOCKING_THREADS: usize = 8;
/// How long a thread that is stuck in a system call is waited for at the end.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Takes signals from agents, finds out why things died, and answers questions about it.
#[derive(Debug, Parser)]
#[command(name = "inquest-aggregator", version, max_term_width = 100)]
struct Args {
    /// Configuration file; without one, every key has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the effective configuration and exit
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            return say(error.print(), ExitCode::from(code));
        }
    };
    let config = match Config::load(args.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            let text = format!("inquest-aggregator: {}", ErrorChain(&error));
            return say(writeln!(io::stderr(), "{text}"), ExitCode::from(EXIT_USAGE));
        }
    };
    if args.check_config {
        let printed = io::stdout().write_all(config.to_yaml().as_bytes());
        return say(printed, ExitCode::SUCCESS);
    }
    match serve(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => say(
            writeln!(io::stderr(), "inquest-aggregator: {error:#}"),
            ExitCode::FAILURE,
        ),
    }
}

/// The exit code after something was printed: nobody listening is no failure of its own.
fn say(printed: io::Result<()>, code: ExitCode) -> ExitCode {
    drop(printed);
    code
}

fn serve(config: &Config) -> anyhow::Result<()> {
    let filter = telemetry::parse_level(&config.log.level)?;
    let log = telemetry::init(config.log.format, filter).context("failed to start logging")?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("failed to start the async runtime")?;
    let served = runtime.block_on(async {
        // Before anything is opened, so that a signal during the start is not lost.
        let mut terminate = signal(SignalKind::terminate()).context("failed to take SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("failed to take SIGINT")?;
        let aggregator = Aggregator::start(config, log).await?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        aggregator.run(shutdown).await.map_err(anyhow::Error::from)
    });
    runtime.shutdown_timeout(LAST_WAIT);
    served
}
