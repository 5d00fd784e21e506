//! Logs: set up once, level changeable while running. Must not hold metrics.

use std::{error::Error, fmt, io};

use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    fmt::layer,
    layer::SubscriberExt as _,
    reload,
    util::{SubscriberInitExt as _, TryInitError},
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Displays an error and each of its causes, separated by `: `.
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// A log level text that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogLevelError {
    #[error(
        "failed to read log level `{0}`; use error, warn, info, debug, trace or a filter such as `info,inquest_aggregator::store=debug`"
    )]
    Parse(String, #[source] tracing_subscriber::filter::ParseError),
    #[error("failed to change the log level")]
    Reload(#[source] reload::Error),
}

/// Changes the log level of the running process.
#[derive(Clone, Debug)]
pub struct LogControl(reload::Handle<EnvFilter, Registry>);

impl LogControl {
    /// Takes a level or a filter expression from now on.
    pub fn set_level(&self, level: &str) -> Result<(), LogLevelError> {
        let filter = parse_level(level)?;
        self.0.reload(filter).map_err(LogLevelError::Reload)
    }
}

/// Reads a level or a filter expression.
pub fn parse_level(level: &str) -> Result<EnvFilter, LogLevelError> {
    EnvFilter::builder()
        .parse(level)
        .map_err(|error| LogLevelError::Parse(level.to_owned(), error))
}

/// Starts logging to stderr; called once, by the binary.
pub fn init(format: LogFormat, filter: EnvFilter) -> Result<LogControl, TryInitError> {
    let (filter, handle) = reload::Layer::new(filter);
    let lines = layer().with_writer(io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()?;
    Ok(LogControl(handle))
}
