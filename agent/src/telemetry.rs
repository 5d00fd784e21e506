//! Logging: where it goes, how it looks and how its level changes at run time; must not be used to
//! count.

use std::error::Error;
use std::fmt;
use std::io::IsTerminal as _;

use thiserror::Error;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Failure to set the level of the log.
#[derive(Debug, Error)]
pub enum SetLevelError {
    /// It is no filter.
    #[error("failed to read `{0}` as a log level")]
    Parse(String, #[source] tracing_subscriber::filter::ParseError),
    /// The log was not started.
    #[error("failed to change the level of the log")]
    Reload(#[source] reload::Error),
    /// A log was started before.
    #[error("failed to start the log")]
    Start(#[source] tracing_subscriber::util::TryInitError),
}

/// Changes the level of the log that it was made for.
#[derive(Clone, Debug)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Changes the level: a word such as `debug`, or directives such as `info,inquest_agent=trace`.
    pub fn set(&self, level: &str) -> Result<(), SetLevelError> {
        self.0
            .reload(parse_level(level)?)
            .map_err(SetLevelError::Reload)
    }
}

/// Starts the log on standard error.
pub fn start(level: &str, format: LogFormat) -> Result<LogLevel, SetLevelError> {
    let (filter, handle) = reload::Layer::new(parse_level(level)?);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    }
    .map_err(SetLevelError::Start)?;
    Ok(LogLevel(handle))
}

/// Reads a level as `start` and `LogLevel::set` take it.
pub fn parse_level(level: &str) -> Result<EnvFilter, SetLevelError> {
    EnvFilter::try_new(level).map_err(|error| SetLevelError::Parse(level.to_owned(), error))
}

/// Displays an error and each of its causes, separated by `: `. A cause that only repeats the words
/// before it, as errors of connections do, is left out.
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        formatter.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            let words = cause.to_string();
            if words != said {
                write!(formatter, ": {words}")?;
            }
            said = words;
            source = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_levels_and_refuses_what_is_none() {
        for (level, ok) in [
            ("info", true),
            ("warn,inquest_agent=trace", true),
            ("inquest_agent=loud", false),
        ] {
            assert_eq!(parse_level(level).is_ok(), ok, "{level}");
        }
    }

    #[test]
    fn a_cause_that_repeats_its_error_is_said_once() {
        #[derive(Debug, Error)]
        #[error("tcp connect error")]
        struct Repeats(#[source] Box<dyn Error>);
        let error = Repeats(Box::new(Repeats("refused".into())));
        assert_eq!(ErrorChain(&error).to_string(), "tcp connect error: refused");
    }

    #[test]
    fn an_error_is_shown_with_its_causes() {
        let error = parse_level("a=loud").unwrap_err();
        let shown = ErrorChain(&error).to_string();
        assert!(
            shown.starts_with("failed to read `a=loud` as a log level: "),
            "{shown}"
        );
    }
}
