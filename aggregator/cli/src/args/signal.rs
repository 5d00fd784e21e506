//! The arguments of `inquest signal`. Must only parse.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use inquest_api::signal::SignalKind;

use super::duration::{self, Moment};
use super::output::OutputArgs;

/// `signal …`
#[derive(Subcommand)]
pub(crate) enum SignalCommand {
    /// List signals, oldest first
    List(SignalListArgs),
}

/// `signal list`
#[derive(Args)]
pub(crate) struct SignalListArgs {
    /// Stay and print each new signal as it comes, with --since those before as well
    #[arg(short, long, conflicts_with_all = ["until", "limit"])]
    pub follow: bool,
    /// Only signals of this kind
    #[arg(long, value_name = "KIND", value_parser = kind())]
    pub kind: Option<SignalKind>,
    /// Only signals of this node
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Only signals of this cgroup path
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,
    /// Only signals of this process id
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Only signals since then: an age such as 15m or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = duration::parse_moment)]
    pub since: Option<Moment>,
    /// Only signals until then: an age such as 5m or an RFC 3339 time
    #[arg(long, value_name = "WHEN", value_parser = duration::parse_moment)]
    pub until: Option<Moment>,
    /// Print at most this many, the newest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The kinds as the aggregator names them.
fn kind() -> impl TypedValueParser<Value = SignalKind> {
    PossibleValuesParser::new(SignalKind::names())
        .try_map(|word| SignalKind::parse(&word).ok_or("it is no kind of signal"))
}
