//! The arguments of `inquest incident`. Must only parse.

use clap::{Args, Subcommand, ValueEnum};

use super::output::{ExitCodeArgs, OutputArgs};

/// `incident …`
#[derive(Subcommand)]
pub(crate) enum IncidentCommand {
    /// List incidents, newest first
    List(IncidentListArgs),
    /// Show everything that is known about one incident
    Show(IncidentShowArgs),
}

/// `incident list`
#[derive(Args)]
pub(crate) struct IncidentListArgs {
    /// Only incidents in this state
    #[arg(long)]
    pub state: Option<IncidentState>,
    /// Only incidents on this node
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Only incidents with this root cause, for example memory-limit-oom
    #[arg(long, value_name = "CAUSE")]
    pub cause: Option<String>,
    /// Print at most this many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub exit_code: ExitCodeArgs,
}

/// The states of an incident.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum IncidentState {
    Open,
    Resolved,
}

/// `incident show ID`
#[derive(Args)]
pub(crate) struct IncidentShowArgs {
    /// Incident id, as `incident list` prints it
    pub id: String,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub exit_code: ExitCodeArgs,
}
