//! The options that say how to print. Must not print.

use clap::{Args, ValueEnum};

/// When to use color.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ColorWhen {
    Auto,
    Always,
    Never,
}

/// How to print what was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

/// The output options of every command that reads.
#[derive(Args)]
pub(crate) struct OutputArgs {
    /// Print a table, more columns, the API's object, or names only
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Leave the header line of tables out
    #[arg(long)]
    pub no_headers: bool,
}

/// Ends with 10 when an incident is open.
#[derive(Args)]
pub(crate) struct ExitCodeArgs {
    /// Exit with 10 when an incident shown is open
    #[arg(long)]
    pub exit_code: bool,
}
