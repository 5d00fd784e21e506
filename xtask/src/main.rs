//! The project's commands, run as `cargo xtask COMMAND`.
//!
//! Parses and dispatches; what a harness does lives in `tests/`.

mod apt;
mod build_ebpf;
mod check;
mod clock;
mod command;
mod daemon;
mod down;
mod http;
mod kernels;
mod output;
mod process;
mod release;
mod test;
mod test_kernel;
mod tidy;
mod toolchain;
mod up;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

/// The project's commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
#[command(after_help = "Examples:
  cargo xtask up            # install what is missing, build, start
  cargo xtask demo oom      # watch a real OOM kill become an incident
  cargo xtask test          # all tests; the last line counts them
  cargo xtask down          # stop what `up` started")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds everything and starts aggregator and agent on this machine
    #[command(
        after_help = "Installs what is missing (as root, or with password-free sudo). \
The first run takes minutes; when nothing changed it \
takes seconds. Without root it starts the \
aggregator alone.

Configuration is written to STATE/aggregator.yaml and STATE/agent.yaml if absent; edit them and \
run `up` again.

Examples:
  cargo xtask up
  cargo xtask up --state /tmp/inquest"
    )]
    Up(StateArgs),
    /// Stops what `up` started
    #[command(
        after_help = "Asks each daemon to end and waits 15 seconds before killing it.

Examples:
  cargo xtask down
  cargo xtask down --state /tmp/inquest"
    )]
    Down(StateArgs),
    /// Checks formatting, lints, the project's own rules and the documentation
    #[command(
        after_help = "Runs all steps even if one fails and lists the failures at the end.

Examples:
  cargo xtask check"
    )]
    Check,
    /// Checks the rules that neither the compiler nor clippy knows
    Tidy,
    /// Runs the tests; the last line is `N passed, N failed, N skipped`
    #[command(
        after_help = "As root the kernel tests run on this host; otherwise they are counted \
as skipped, with the reason.

Examples:
  cargo xtask test"
    )]
    Test,
    /// Builds the kernel programs that the agent embeds
    #[command(
        after_help = "Takes the first toolchain that fits: AGENT_EBPF_TOOLCHAIN (a rustup \
toolchain, or a directory with bin/rustc), rustup's \
nightly, rustup's default, /usr/bin/rustc. \
Each needs rust-src and a bpf-linker on its LLVM. If none fits, Debian's \
packages and \
bpf-linker are installed.

Examples:
  cargo xtask build-ebpf
  cargo xtask build-ebpf --log
  AGENT_EBPF_TOOLCHAIN=nightly-2026-05-01 cargo xtask build-ebpf --no-install"
    )]
    BuildEbpf(BuildEbpfArgs),
    /// Shows the product on a failure made for it, against what `up` started
    #[command(after_help = "Examples:
  cargo xtask demo oom
  cargo xtask demo child-oom --json demo.json
  cargo xtask demo --help")]
    Demo(HarnessArgs),
    /// Measures the product against its bars
    #[command(after_help = "Examples:
  cargo xtask bench oom-latency
  cargo xtask bench idle --json idle.json
  cargo xtask bench agent               # beside bpftrace, which is installed when missing")]
    Bench(HarnessArgs),
    /// Tests the probes on real kernels: in guests, or on the one that runs here
    #[command(
        after_help = "Without --host it boots a guest under QEMU for each kernel of the matrix (5.10, \
6.1, 6.12, 7), or for those that are named. Kernels and QEMU are Debian's packages, fetched the first \
time; a kernel whose suite this machine cannot reach is skipped and counted, except 6.1 and 6.12. To \
fetch newer ones, delete ~/.cache/inquest/kernels.

Examples:
  cargo xtask test-kernel
  cargo xtask test-kernel 6.1 6.12
  cargo xtask test-kernel --host"
    )]
    TestKernel(HarnessArgs),
    /// Holds the agent's counts against those of strace, a firewall rule and the kernel
    #[command(
        after_help = "Installs strace, nftables and iproute2 when they are missing.

Examples:
  cargo xtask test-truth"
    )]
    TestTruth(HarnessArgs),
    /// Kills aggregator and agent at random moments and looks for lost or doubled signals
    #[command(after_help = "Examples:
  cargo xtask test-crash
  cargo xtask test-crash --rounds 10")]
    TestCrash(HarnessArgs),
    /// Lets a language model lie, refuse and hang, and looks at what reaches the screen
    #[command(after_help = "Examples:
  cargo xtask test-explain")]
    TestExplain(HarnessArgs),
}

#[derive(Args, Debug)]
struct StateArgs {
    /// The folder that holds configuration, stores, logs and pid files [default: .inquest in the
    /// clone]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StateArgs {
    fn into_dir(self) -> anyhow::Result<PathBuf> {
        let dir = self
            .state
            .unwrap_or_else(|| workspace::root().join(".inquest"));
        std::path::absolute(dir).context("failed to find the state folder")
    }
}

#[derive(Args, Debug)]
struct BuildEbpfArgs {
    /// Builds in what the probes log for their developers
    #[arg(long)]
    log: bool,
    /// Fails instead of installing what is missing
    #[arg(long)]
    no_install: bool,
}

#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
struct HarnessArgs {
    /// Passed on to the harness
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            output::progress(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up::up(&args.into_dir()?)?,
        Command::Down(args) => down::down(&args.into_dir()?)?,
        Command::Check => return Ok(check::check()),
        Command::Tidy => return check::tidy_alone(),
        Command::Test => return test::test(),
        Command::BuildEbpf(args) => {
            build_ebpf::build(build_ebpf::Options {
                log: args.log,
                may_install: !args.no_install,
            })?;
        }
        Command::Demo(args) => release::run_harness("demo", &args.args)?,
        Command::Bench(args) => release::run_harness("bench", &args.args)?,
        Command::TestKernel(args) => test_kernel::run(&args.args)?,
        Command::TestTruth(args) => release::run_harness("test-truth", &args.args)?,
        Command::TestCrash(args) => release::run_harness("test-crash", &args.args)?,
        Command::TestExplain(args) => release::run_harness("test-explain", &args.args)?,
    }
    Ok(ExitCode::SUCCESS)
}
