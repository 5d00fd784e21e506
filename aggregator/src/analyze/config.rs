//! The section `analysis` of the configuration. Must hold the path of a key, never a key.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;
use serde::Deserialize;

use crate::config::units;

const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_TIMEOUT: Duration = Duration::from_mins(10);
/// Eight sentences take some 600 tokens; the rest is for models that think before they write.
const DEFAULT_MAX_OUTPUT_TOKENS: u32 = 4096;
const DEFAULT_MAX_REQUESTS_PER_HOUR: u32 = 60;

/// The section as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    provider: Option<String>,
    base_url: Option<String>,
    model: Option<String>,
    key_file: Option<PathBuf>,
    timeout: Option<String>,
    max_output_tokens: Option<u32>,
    max_requests_per_hour: Option<u32>,
}

/// The section, checked, defaults filled in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Config {
    /// No model is asked and nothing leaves the aggregator.
    #[default]
    Off,
    On(ProviderConfig),
}

/// How to reach a model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProviderConfig {
    pub protocol: Protocol,
    /// Without a trailing slash in its path.
    pub base_url: Url,
    pub model: String,
    pub key_file: Option<PathBuf>,
    /// For one call, from connecting to the last byte.
    pub timeout: Duration,
    pub max_output_tokens: u32,
    /// Retries included.
    pub max_requests_per_hour: u32,
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// Chat completions, as OpenAI and most local servers have them.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
}

/// A value that cannot be used, with its key.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration key `analysis.{key}`: `{value}` is not {expected}")]
    Value {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("configuration key `analysis.{key}` is missing: {expected}")]
    Missing {
        key: &'static str,
        expected: &'static str,
    },
    /// Does not show the value, which holds a secret.
    #[error(
        "configuration key `analysis.base_url` holds a user or password: put the key into a file and name it as `analysis.key_file`"
    )]
    SecretInUrl,
}

impl Protocol {
    /// The protocol as configuration and answers spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    const fn default_base_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
        }
    }
}

impl RawConfig {
    /// Checks the section.
    pub fn check(self) -> Result<Config, ConfigError> {
        let protocol = match self.provider.as_deref() {
            None | Some("none") => return Ok(Config::Off),
            Some("openai") => Protocol::OpenAi,
            Some("anthropic") => Protocol::Anthropic,
            Some(other) => return Err(value("provider", other, "none, openai or anthropic")),
        };
        let hosted = self.base_url.is_none();
        let config = ProviderConfig {
            protocol,
            base_url: base_url(
                self.base_url
                    .as_deref()
                    .unwrap_or(protocol.default_base_url()),
            )?,
            model: model(self.model)?,
            key_file: self.key_file,
            timeout: timeout(self.timeout.as_deref())?,
            max_output_tokens: bounded(
                "max_output_tokens",
                self.max_output_tokens,
                DEFAULT_MAX_OUTPUT_TOKENS,
                256,
            )?,
            max_requests_per_hour: bounded(
                "max_requests_per_hour",
                self.max_requests_per_hour,
                DEFAULT_MAX_REQUESTS_PER_HOUR,
                1,
            )?,
        };
        let needs_key = hosted || protocol == Protocol::Anthropic;
        match &config.key_file {
            None if needs_key => Err(ConfigError::Missing {
                key: "key_file",
                expected: "the path of a file that holds the provider's key",
            }),
            Some(path) if path.as_os_str().is_empty() => Err(value("key_file", "", "a path")),
            _ => Ok(Config::On(config)),
        }
    }
}

impl Config {
    /// The effective section as YAML that `RawConfig` reads back; holds no secret.
    pub fn to_yaml(&self) -> String {
        let Self::On(config) = self else {
            return "analysis:\n  provider: none\n".to_owned();
        };
        let key_file = config
            .key_file
            .as_ref()
            .map(|path| format!("  key_file: {}\n", quoted(&path.to_string_lossy())))
            .unwrap_or_default();
        format!(
            "analysis:\n  provider: {}\n  base_url: {}\n  model: {}\n{key_file}  timeout: {}\n  \
             max_output_tokens: {}\n  max_requests_per_hour: {}\n",
            config.protocol.as_str(),
            quoted(config.base_url.as_str()),
            quoted(&config.model),
            units::print_duration(config.timeout),
            config.max_output_tokens,
            config.max_requests_per_hour,
        )
    }
}

/// A JSON string, which is a YAML string too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl ProviderConfig {
    /// The address of `path` below the base.
    pub fn endpoint(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }
}

fn base_url(text: &str) -> Result<Url, ConfigError> {
    const EXPECTED: &str = "an address such as https://llm.example.com/v1, without query";
    let Ok(mut url) = Url::parse(text) else {
        return Err(value("base_url", text, EXPECTED));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConfigError::SecretInUrl);
    }
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain || url.host_str().is_none() {
        return Err(value("base_url", text, EXPECTED));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn model(model: Option<String>) -> Result<String, ConfigError> {
    let model = model.ok_or(ConfigError::Missing {
        key: "model",
        expected: "the provider's name of a model",
    })?;
    let is_name =
        !model.is_empty() && model.len() <= 200 && model.chars().all(|c| c.is_ascii_graphic());
    if is_name {
        Ok(model)
    } else {
        Err(value("model", &model, "the name of a model"))
    }
}

fn timeout(text: Option<&str>) -> Result<Duration, ConfigError> {
    let Some(text) = text else {
        return Ok(DEFAULT_TIMEOUT);
    };
    units::duration(text)
        .filter(|timeout| (Duration::from_secs(1)..=MAX_TIMEOUT).contains(timeout))
        .ok_or_else(|| value("timeout", text, "a duration from 1s to 10m, such as 60s"))
}

fn bounded(
    key: &'static str,
    given: Option<u32>,
    default: u32,
    min: u32,
) -> Result<u32, ConfigError> {
    const MAX: u32 = 100_000;
    match given {
        None => Ok(default),
        Some(given) if (min..=MAX).contains(&given) => Ok(given),
        Some(given) => Err(value(
            key,
            &given.to_string(),
            "a number within its bounds (see docs/analysis.md)",
        )),
    }
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

    fn check(yaml: &str) -> Result<Config, String> {
        let raw: RawConfig = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        raw.check().map_err(|error| error.to_string())
    }

    #[test]
    fn is_off_unless_a_provider_is_named() {
        for yaml in ["{}", "provider: none", "{provider: none, model: x}"] {
            assert_eq!(check(yaml), Ok(Config::Off), "{yaml}");
        }
    }

    #[test]
    fn fills_in_defaults() {
        let Ok(Config::On(config)) = check("{provider: anthropic, model: m, key_file: /k}") else {
            panic!("not on");
        };
        assert_eq!(
            config.endpoint("v1/messages").as_str(),
            "https://api.anthropic.com/v1/messages"
        );
        assert_eq!(config.timeout, DEFAULT_TIMEOUT);
        let Ok(Config::On(config)) =
            check("{provider: openai, model: m, base_url: 'http://127.0.0.1:8000/v1/'}")
        else {
            panic!("not on");
        };
        let endpoint = config.endpoint("chat/completions");
        assert_eq!(
            endpoint.as_str(),
            "http://127.0.0.1:8000/v1/chat/completions"
        );
        assert_eq!(config.key_file, None);
    }

    #[test]
    fn names_the_key_at_fault_and_no_secret() {
        let cases = [
            ("{provider: gemini}", "analysis.provider"),
            ("{provider: openai, key_file: /k}", "analysis.model"),
            ("{provider: openai, model: m}", "analysis.key_file"),
            (
                "{provider: anthropic, model: m, base_url: 'http://localhost:1'}",
                "analysis.key_file",
            ),
            (
                "{provider: openai, model: m, base_url: 'ftp://x'}",
                "analysis.base_url",
            ),
            (
                "{provider: openai, model: m, base_url: 'x'}",
                "analysis.base_url",
            ),
            (
                "{provider: openai, model: m, base_url: 'https://x/v1?key=1'}",
                "analysis.base_url",
            ),
            (
                "{provider: openai, model: m, base_url: 'https://u:sesame@x/v1'}",
                "analysis.base_url",
            ),
            (
                "{provider: openai, model: 'a b', key_file: /k}",
                "analysis.model",
            ),
            (
                "{provider: openai, model: m, key_file: ''}",
                "analysis.key_file",
            ),
            (
                "{provider: openai, model: m, key_file: /k, timeout: 60}",
                "timeout",
            ),
            (
                "{provider: openai, model: m, key_file: /k, timeout: 1h}",
                "analysis.timeout",
            ),
            (
                "{provider: openai, model: m, key_file: /k, max_output_tokens: 1}",
                "analysis.max_output_tokens",
            ),
            (
                "{provider: openai, model: m, key_file: /k, max_requests_per_hour: 0}",
                "max_requests_per_hour",
            ),
            ("{provider: openai, api_key: sesame}", "api_key"),
        ];
        for (yaml, key) in cases {
            let error = check(yaml).unwrap_err();
            assert!(error.contains(key), "{yaml}: {error}");
            assert!(
                !error.contains("sesame") || key == "api_key",
                "{yaml}: {error}"
            );
        }
    }

    #[test]
    fn reads_back_what_it_prints() {
        #[derive(Deserialize)]
        struct File {
            analysis: RawConfig,
        }
        let section =
            "{provider: openai, model: 'a:b', base_url: 'http://x/v1', key_file: /k, timeout: 90s}";
        for yaml in ["{}", section] {
            let config = check(yaml).unwrap();
            let file: File = serde_saphyr::from_str(&config.to_yaml()).unwrap();
            assert_eq!(file.analysis.check().unwrap(), config);
        }
    }
}
