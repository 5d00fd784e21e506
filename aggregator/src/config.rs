//! Configuration: read whole, checked whole, before anything else happens. Must not open a port or a store.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use inquest_engine::config as engine;
use serde::Deserialize;

use crate::{
    analyze,
    telemetry::{self, LogFormat},
};

pub(crate) mod units;

const DEFAULT_LISTEN: &str = "127.0.0.1:7700";
const DEFAULT_INGEST_LISTEN: &str = "127.0.0.1:7701";
const DEFAULT_STATE_DIR: &str = "/var/lib/inquest";
const DEFAULT_SIGNAL_RETENTION: Duration = Duration::from_hours(72);
const DEFAULT_INCIDENT_RETENTION: Duration = Duration::from_hours(30 * 24);
const DEFAULT_MAX_SIZE: u64 = 2 << 30;
/// Below this the schema alone leaves little room for signals.
const MIN_MAX_SIZE: u64 = 16 << 20;
/// Signals must outlive the engine's window for a restart to continue.
const MIN_SIGNAL_RETENTION: Duration = engine::WINDOW;
/// An incident that a repeat may reopen must still be there.
const MIN_INCIDENT_RETENTION: Duration = engine::REOPEN_WITHIN;
/// A configuration is a page of text; more is a wrong path.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The effective configuration, defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where REST, health and metrics answer.
    pub listen: SocketAddr,
    /// Where agents connect.
    pub ingest_listen: SocketAddr,
    /// Holds the store; one aggregator per directory.
    pub state_dir: PathBuf,
    pub retention: Retention,
    pub analysis: analyze::Config,
    pub log: LogConfig,
}

/// How long and how much is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    pub signals: Duration,
    /// Counts from an incident's newest fault; open incidents are always kept.
    pub incidents: Duration,
    /// Of the store's file; the oldest signals go first.
    pub max_size: u64,
}

/// How the process logs.
#[derive(Clone, Debug)]
pub struct LogConfig {
    pub format: LogFormat,
    /// A level or a filter expression, already checked.
    pub level: String,
}

/// A configuration that cannot be used, with the key at fault.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("failed to read configuration `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read configuration `{path}`: it is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge { path: PathBuf },
    #[error("failed to understand configuration `{path}`")]
    Parse {
        path: PathBuf,
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    #[error("configuration key `{key}`: `{value}` is not {expected}")]
    Value {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error(transparent)]
    Analysis(#[from] analyze::ConfigError),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    listen: Option<String>,
    ingest_listen: Option<String>,
    state_dir: Option<PathBuf>,
    retention: RawRetention,
    analysis: analyze::RawConfig,
    log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRetention {
    signals: Option<String>,
    incidents: Option<String>,
    max_size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    format: Option<String>,
    level: Option<String>,
}

impl Config {
    /// Reads and checks a file; without one, every key has its default.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return RawConfig::default().check();
        };
        let text = read(path)?;
        // A file of comments alone is an empty document, which is all defaults.
        let raw: Option<RawConfig> =
            serde_saphyr::from_str(&text).map_err(|source| ConfigError::Parse {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        raw.unwrap_or_default().check()
    }

    /// The effective configuration as YAML that `load` reads back; holds no secret.
    pub fn to_yaml(&self) -> String {
        let format = match self.log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let line = |key: &str, value: String| format!("{key}: {value}\n");
        // A JSON string is a YAML string.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        [
            line("listen", quoted(&self.listen.to_string())),
            line("ingest_listen", quoted(&self.ingest_listen.to_string())),
            line("state_dir", quoted(&self.state_dir.to_string_lossy())),
            line("retention", String::new()),
            line("  signals", units::print_duration(self.retention.signals)),
            line(
                "  incidents",
                units::print_duration(self.retention.incidents),
            ),
            line("  max_size", units::print_size(self.retention.max_size)),
            self.analysis.to_yaml(),
            line("log", String::new()),
            line("  format", format.to_owned()),
            line("  level", quoted(&self.log.level)),
        ]
        .concat()
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
        });
    }
    fs::read_to_string(path).map_err(failed)
}

impl RawConfig {
    fn check(self) -> Result<Config, ConfigError> {
        Ok(Config {
            listen: address("listen", self.listen, DEFAULT_LISTEN)?,
            ingest_listen: address("ingest_listen", self.ingest_listen, DEFAULT_INGEST_LISTEN)?,
            state_dir: state_dir(self.state_dir)?,
            retention: self.retention.check()?,
            analysis: self.analysis.check()?,
            log: self.log.check()?,
        })
    }
}

impl RawRetention {
    fn check(self) -> Result<Retention, ConfigError> {
        let signals = at_least(
            ("retention.signals", self.signals, units::duration),
            (DEFAULT_SIGNAL_RETENTION, MIN_SIGNAL_RETENTION),
            "a duration of at least 10m, such as 72h",
        )?;
        let incidents = at_least(
            ("retention.incidents", self.incidents, units::duration),
            (DEFAULT_INCIDENT_RETENTION, MIN_INCIDENT_RETENTION),
            "a duration of at least 1d, such as 30d",
        )?;
        let max_size = at_least(
            ("retention.max_size", self.max_size, units::size),
            (DEFAULT_MAX_SIZE, MIN_MAX_SIZE),
            "a size of at least 16MiB, such as 2GiB",
        )?;
        Ok(Retention {
            signals,
            incidents,
            max_size,
        })
    }
}

impl RawLog {
    fn check(self) -> Result<LogConfig, ConfigError> {
        let format = match self.format.as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(other) => return Err(value("log.format", other, "text or json")),
        };
        let level = self.level.unwrap_or_else(|| "info".to_owned());
        if telemetry::parse_level(&level).is_err() {
            let expected = "error, warn, info, debug, trace or a filter such as info,tonic=warn";
            return Err(value("log.level", &level, expected));
        }
        Ok(LogConfig { format, level })
    }
}

fn address(
    key: &'static str,
    text: Option<String>,
    default: &str,
) -> Result<SocketAddr, ConfigError> {
    let text = text.unwrap_or_else(|| default.to_owned());
    let parsed = text.parse().ok();
    parsed.ok_or_else(|| value(key, &text, "an address such as 127.0.0.1:7700"))
}

fn state_dir(path: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let path = path.unwrap_or_else(|| DEFAULT_STATE_DIR.into());
    if path.as_os_str().is_empty() {
        return Err(value("state_dir", "", "a directory"));
    }
    Ok(path)
}

type Parse<T> = fn(&str) -> Option<T>;

fn at_least<T: Ord>(
    (key, text, parse): (&'static str, Option<String>, Parse<T>),
    (default, min): (T, T),
    expected: &'static str,
) -> Result<T, ConfigError> {
    let Some(text) = text else {
        return Ok(default);
    };
    parse(&text)
        .filter(|parsed| *parsed >= min)
        .ok_or_else(|| value(key, &text, expected))
}

fn value(key: &'static str, value: &str, expected: &'static str) -> ConfigError {
    ConfigError::Value {
        key,
        value: value.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::ErrorChain;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("aggregator.yaml");
        fs::write(&path, text).unwrap();
        Config::load(Some(&path))
    }

    #[test]
    fn fills_in_defaults_for_an_empty_file_and_for_none() {
        for config in [load("# nothing\n").unwrap(), Config::load(None).unwrap()] {
            assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
            assert_eq!(config.state_dir, Path::new(DEFAULT_STATE_DIR));
            assert_eq!(config.retention.signals, DEFAULT_SIGNAL_RETENTION);
        }
    }

    #[test]
    fn the_shipped_example_is_all_defaults() {
        let example = load(include_str!("../../deploy/config/aggregator.yaml")).unwrap();
        assert_eq!(example.to_yaml(), Config::load(None).unwrap().to_yaml());
    }

    #[test]
    fn reads_back_the_effective_configuration_it_prints() {
        let text = "listen: 127.0.0.1:0\nstate_dir: /tmp/a \"b\nretention: {signals: 90m, max_size: 64MiB}\n\
                    log: {format: json, level: 'info,tonic=warn'}\n";
        let config = load(text).unwrap();
        let again = load(&config.to_yaml()).unwrap();
        assert_eq!(again.to_yaml(), config.to_yaml());
        assert_eq!(again.state_dir, Path::new("/tmp/a \"b"));
        assert_eq!(again.retention.signals, Duration::from_mins(90));
    }

    #[test]
    fn names_the_key_at_fault() {
        let cases = [
            ("listen: nowhere", "listen"),
            ("ingest_listen: 7701", "ingest_listen"),
            ("lisen: 127.0.0.1:1", "lisen"),
            ("retention: {signals: 3}", "signals"),
            ("retention: {signals: 1s}", "retention.signals"),
            ("retention: {max_size: 2GB}", "retention.max_size"),
            ("retention: {incidents: 1h}", "retention.incidents"),
            ("retention: {sginals: 3d}", "sginals"),
            ("log: {format: xml}", "log.format"),
            ("log: {level: '=='}", "log.level"),
            ("state_dir: ''", "state_dir"),
            ("analysis: {provider: oracle}", "analysis.provider"),
            ("analysis: {providr: none}", "providr"),
            ("- a list", "a list"),
        ];
        for (text, key) in cases {
            let error = load(text).unwrap_err();
            let printed = ErrorChain(&error).to_string();
            if key != "a list" {
                assert!(printed.contains(key), "{text}: {printed}");
            }
        }
    }

    #[test]
    fn the_shipped_example_is_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config/aggregator.yaml");
        let shipped = Config::load(Some(&path)).unwrap();
        assert_eq!(shipped.to_yaml(), Config::load(None).unwrap().to_yaml());
    }

    #[test]
    fn says_which_file_it_could_not_read() {
        let error = Config::load(Some(Path::new("/nonexistent/x.yaml"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.yaml"), "{error}");
    }
}
