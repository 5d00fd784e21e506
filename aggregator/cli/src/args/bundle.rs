//! The arguments of `inquest bundle` and `inquest analyze`. Must only parse.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::duration::{self, Moment};
use super::output::{ExitCodeArgs, OutputArgs};

/// `analyze BUNDLE`
#[derive(Args)]
pub(crate) struct AnalyzeArgs {
    /// A bundle: a folder or a .tar.gz
    pub bundle: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub exit_code: ExitCodeArgs,
}

/// `bundle …`
#[derive(Subcommand)]
pub(crate) enum BundleCommand {
    /// Record signals and nodes from the aggregator into a bundle
    Create(BundleCreateArgs),
}

/// `bundle create FILE`
#[derive(Args)]
pub(crate) struct BundleCreateArgs {
    /// What to write: an archive when it ends in .tar.gz or .tgz, else a folder
    pub file: PathBuf,
    /// How far back to record: an age such as 1h or an RFC 3339 time
    #[arg(long, value_name = "WHEN", default_value = "1h", value_parser = duration::parse_moment)]
    pub since: Moment,
    /// Only signals of this node
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Only signals of this cgroup path
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,
    /// Name of the cluster or machine, kept in the bundle
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
}
