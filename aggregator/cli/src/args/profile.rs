//! The arguments of `inquest profile`. Must only parse.

use clap::Args;

use super::duration::Span;
use super::output::OutputArgs;

/// Where an agent with a default configuration has its own page.
pub(crate) const DEFAULT_AGENT: &str = "http://127.0.0.1:7702";

/// `profile TARGET`
#[derive(Args)]
pub(crate) struct ProfileArgs {
    /// Path of a cgroup, or container id or its beginning
    pub target: String,
    /// How long to watch it, from 1s to 5m
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub r#for: Span,
    /// Where the agent of its node has its own page
    #[arg(
        long,
        value_name = "URL",
        env = "INQUEST_AGENT",
        hide_env_values = true,
        default_value = DEFAULT_AGENT
    )]
    pub agent: String,
    #[command(flatten)]
    pub output: OutputArgs,
}
