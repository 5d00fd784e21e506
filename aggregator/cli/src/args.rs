//! What was asked: the command line as types. Must only parse; no command runs here, and no help
//! needs the network.

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub(crate) use self::bundle::{AnalyzeArgs, BundleCommand, BundleCreateArgs};
pub(crate) use self::duration::Moment;
use self::duration::Span;
pub(crate) use self::incident::{
    IncidentCommand, IncidentListArgs, IncidentShowArgs, IncidentState,
};
pub(crate) use self::output::{ColorWhen, ExitCodeArgs, Format, OutputArgs};
pub(crate) use self::profile::{DEFAULT_AGENT, ProfileArgs};
pub(crate) use self::signal::{SignalCommand, SignalListArgs};

mod bundle;
mod duration;
mod examples;
mod incident;
mod output;
mod profile;
mod signal;

/// Where an aggregator with a default configuration answers.
pub(crate) const DEFAULT_AGGREGATOR: &str = "http://127.0.0.1:7700";

/// The command line and the name it was called by.
pub(crate) struct Invocation {
    pub cli: Cli,
    /// `inquest`, or `kubectl inquest` when called as a kubectl plugin.
    pub name: &'static str,
}

/// Asks the aggregator why something died.
#[derive(Parser)]
#[command(
    name = "inquest",
    version,
    about = "Why did it die? Answers with evidence from the kernel",
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args)]
pub(crate) struct Global {
    /// Where the aggregator answers
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "INQUEST_AGGREGATOR",
        hide_env_values = true,
        default_value = DEFAULT_AGGREGATOR,
        help_heading = "Global options"
    )]
    pub aggregator: String,
    /// How long to wait for each answer of the aggregator
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "10s",
        help_heading = "Global options"
    )]
    pub request_timeout: Span,
    /// When to use color; NO_COLOR and CLICOLOR_FORCE count for auto
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub color: ColorWhen,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Explain why a pod, container, process or cgroup died
    Why(WhyArgs),
    /// Watch where the threads of a container spend their time
    Profile(ProfileArgs),
    /// List incidents and show one whole
    #[command(subcommand, alias = "incidents")]
    Incident(IncidentCommand),
    /// List what the agents observed
    #[command(subcommand, alias = "signals")]
    Signal(SignalCommand),
    /// List nodes and what their agents can see
    #[command(subcommand, alias = "nodes")]
    Node(NodeCommand),
    /// Show the state of the aggregator
    Status(StatusArgs),
    /// Check the installation and say what to do about each fault
    Doctor(DoctorArgs),
    /// Explain a recorded case, without any aggregator
    Analyze(AnalyzeArgs),
    /// Record a case for later or for someone else
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Print the version of this program and of the aggregator
    Version(VersionArgs),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
}

/// `why TARGET`
#[derive(Args)]
pub(crate) struct WhyArgs {
    /// Incident id or its beginning, pod, container, pid or cgroup path
    pub target: String,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub exit_code: ExitCodeArgs,
}

/// `node …`
#[derive(Subcommand)]
pub(crate) enum NodeCommand {
    /// List nodes and what their agents can see
    List(NodeListArgs),
}

/// `node list`
#[derive(Args)]
pub(crate) struct NodeListArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `status`
#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub exit_code: ExitCodeArgs,
}

/// `doctor`
#[derive(Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `version`
#[derive(Args)]
pub(crate) struct VersionArgs {
    /// Do not ask the aggregator
    #[arg(long)]
    pub client: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `completion SHELL`
#[derive(Args)]
pub(crate) struct CompletionArgs {
    /// The shell to complete in
    pub shell: Shell,
}

/// The shells with completion.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    Power,
}

/// Parses a command line, its program name first.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let name = called_as(args.first());
    let matches = command(name).try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    Ok(Invocation { cli, name })
}

/// The whole command tree with its examples, spelled for how the program was called.
pub(crate) fn command(name: &'static str) -> clap::Command {
    examples::add(Cli::command().bin_name(name), name)
}

/// kubectl runs a plugin by its file name, `kubectl-inquest`.
fn called_as(program: Option<&OsString>) -> &'static str {
    let stem = program.and_then(|program| Path::new(program).file_stem());
    if stem.is_some_and(|stem| stem == "kubectl-inquest") {
        "kubectl inquest"
    } else {
        "inquest"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        command("inquest").debug_assert();
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_parses() {
        for (path, example) in examples::all() {
            let line = format!("inquest {path} {example}");
            let words = line.split_whitespace().map(OsString::from);
            if let Err(error) = parse(words) {
                panic!("`{line}` does not parse: {error}");
            }
        }
        let mut missing = Vec::new();
        visit(&command("inquest"), &mut |command| {
            if !command.has_subcommands() && command.get_after_help().is_none() {
                missing.push(command.get_name().to_owned());
            }
        });
        assert_eq!(missing, Vec::<String>::new());
    }

    fn visit(command: &clap::Command, each: &mut impl FnMut(&clap::Command)) {
        each(command);
        for child in command.get_subcommands() {
            visit(child, each);
        }
    }

    #[test]
    fn is_spelled_as_a_plugin_when_called_as_one() {
        for (program, name) in [
            ("/usr/local/bin/kubectl-inquest", "kubectl inquest"),
            ("kubectl-inquest.exe", "kubectl inquest"),
            ("inquest", "inquest"),
        ] {
            assert_eq!(called_as(Some(&OsString::from(program))), name);
        }
    }
}
