//! The binary `inquest-e2e`: runs one harness, or, started by one, is a victim.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use e2e::{bench, crash, demo, explain, guest, kernel, output, truth, victim};

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
    /// Is the init of a guest.
    #[command(hide = true)]
    Guest,
    #[command(flatten)]
    Prove(Prove),
}

#[derive(Debug, Subcommand)]
enum Prove {
    /// Makes a failure happen and shows the report about it, against what `cargo xtask up` started.
    #[command(after_help = "Examples:
  cargo xtask demo oom
  cargo xtask demo child-oom --json demo.json")]
    Demo {
        #[arg(value_enum)]
        demo: demo::Demo,
        /// Where the aggregator answers.
        #[arg(
            long,
            env = "INQUEST_AGGREGATOR",
            default_value = "http://127.0.0.1:7700"
        )]
        aggregator: String,
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Measures the product against its bars, on private daemons.
    #[command(after_help = "Examples:
  cargo xtask bench oom-latency
  cargo xtask bench idle --seconds 10 --runs 1")]
    Bench {
        #[command(subcommand)]
        bench: Bench,
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Tests the probes on real kernels: on this machine's, with private daemons, or in guests.
    #[command(after_help = "Examples:
  cargo xtask test-kernel
  cargo xtask test-kernel --host
  cargo xtask test-kernel --host --cgroups 5 --victims 2")]
    TestKernel {
        #[command(flatten)]
        options: kernel::Options,
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Holds the agent's counts against those of strace, a firewall rule and the kernel.
    #[command(after_help = "Examples:
  cargo xtask test-truth")]
    TestTruth {
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Kills the daemons at random moments under load, and looks for what was lost or doubled.
    #[command(after_help = "Examples:
  cargo xtask test-crash
  cargo xtask test-crash --rounds 10 --only aggregator --seed 7")]
    TestCrash {
        #[command(flatten)]
        options: crash::Options,
        #[command(flatten)]
        report: ReportArgs,
    },
    /// Lets language models lie, refuse and hang, and looks at what `inquest why` shows.
    #[command(after_help = "Examples:
  cargo xtask test-explain")]
    TestExplain {
        #[command(flatten)]
        report: ReportArgs,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// From an OOM kill to its incident in the API.
    OomLatency(bench::oom_latency::Options),
    /// Memory and CPU time while nothing happens.
    Idle(bench::idle::Options),
    /// What the agent costs the node's work, and itself under load, beside bpftrace.
    Agent(bench::agent::Options),
}

#[derive(Args, Debug)]
struct ReportArgs {
    /// Writes all figures and bars to a file too.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl ReportArgs {
    fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }
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
        // Before there is a runtime: a victim is one thread.
        Command::Victim(args) => victim::act::run(&args),
        Command::Guest => runtime()?.block_on(guest::init::run()),
        Command::Prove(what) => runtime()?.block_on(prove(what)),
    }
}

async fn prove(what: Prove) -> anyhow::Result<ExitCode> {
    match what {
        Prove::Demo {
            demo,
            aggregator,
            report,
        } => demo::run(demo, &aggregator, report.json()).await,
        Prove::Bench { bench, report } => match bench {
            Bench::OomLatency(options) => bench::oom_latency::run(options, report.json()).await,
            Bench::Idle(options) => bench::idle::run(options, report.json()).await,
            Bench::Agent(options) => bench::agent::run(options, report.json()).await,
        },
        Prove::TestKernel { options, report } => kernel::run(options, report.json()).await,
        Prove::TestTruth { report } => truth::run(report.json()).await,
        Prove::TestCrash { options, report } => crash::run(options, report.json()).await,
        Prove::TestExplain { report } => explain::run(report.json()).await,
    }
}

/// One thread: the machine's CPUs belong to what is measured.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")
}
