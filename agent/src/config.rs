//! The agent's configuration: read, checked and filled with defaults in one place; must not open or
//! bind anything it names.

mod byte_size;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use tonic::transport::Endpoint;

pub use self::byte_size::ByteSize;

use crate::governor::Mode;
use crate::probes;
use crate::ship::stream::Stream;
use crate::spool;
use crate::syscalls::IgnoreList;
use crate::telemetry::{self, LogFormat};

const DEFAULT_AGGREGATOR: &str = "http://127.0.0.1:7701";
const DEFAULT_ADMIN_PORT: u16 = 7702;
const DEFAULT_STATE_DIR: &str = "/var/lib/inquest-agent";
const DEFAULT_SPOOL_MAX_SIZE: ByteSize = ByteSize(64 << 20);
const DEFAULT_MEMORY_MAX_SIZE: ByteSize = ByteSize(96 << 20);
/// Less than program and maps take on the smallest node: what is below cannot be meant.
const MIN_MEMORY_MAX_SIZE: ByteSize = ByteSize(32 << 20);
/// One part in a hundred of each CPU.
const DEFAULT_CPU_MILLIS_PER_CORE: u32 = 10;
/// All of each CPU.
const MAX_CPU_MILLIS_PER_CORE: u32 = 1000;
const DEFAULT_LOG_LEVEL: &str = "info";
/// Longest name; that of a Kubernetes node is at most 253 bytes.
const MAX_NAME_BYTES: usize = 253;

/// What the agent was told, complete and valid.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// Where the aggregator takes signals.
    #[serde(serialize_with = "endpoint_as_text")]
    pub aggregator: Endpoint,
    /// Where `/metrics`, `/status` and the rest are served; loopback, or the pod's own address.
    pub admin_listen: SocketAddr,
    /// What survives the process; belongs to one agent at a time.
    pub state_dir: PathBuf,
    /// The node's name.
    pub node_name: String,
    /// What the aggregator knows this agent by.
    pub agent_id: String,
    /// The queue on disk.
    pub spool: SpoolConfig,
    /// What the agent may cost.
    pub budget: BudgetConfig,
    /// The agent's memory.
    pub memory: MemoryConfig,
    /// The probes.
    pub probes: ProbesConfig,
    /// Failed system calls.
    pub syscalls: SyscallsConfig,
    /// The log.
    pub log: LogConfig,
}

/// The queue on disk.
#[derive(Clone, Debug, Serialize)]
pub struct SpoolConfig {
    /// Bytes on disk at most.
    pub max_size: ByteSize,
}

/// What the agent may cost.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetConfig {
    /// Thousandths of one CPU, for each CPU of the node: programs in the kernel and process together.
    pub cpu_millis_per_core: u32,
}

/// The agent's memory.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryConfig {
    /// Bytes of the process and of the maps of its programs together at most; less holds when the agent's own cgroup
    /// allows less.
    pub max_size: ByteSize,
}

/// The probes.
#[derive(Clone, Debug, Serialize)]
pub struct ProbesConfig {
    /// How those are held that cost much.
    pub mode: Mode,
    /// Names of probes that are not to be attached.
    pub disabled: Vec<String>,
}

/// Failed system calls.
#[derive(Clone, Debug, Serialize)]
pub struct SyscallsConfig {
    /// All calls are watched, also where a few of them could be watched alone.
    pub all_calls: bool,
    /// Those that are noise.
    pub ignore: IgnoreList,
}

/// The log.
#[derive(Clone, Debug, Serialize)]
pub struct LogConfig {
    /// A level, or directives as `tracing` takes them.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// What the surroundings say, where the file does not.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `NODE_NAME`, set from the pod's `spec.nodeName`.
    pub node_name: Option<String>,
    /// `POD_IP`, set from the pod's `status.podIP`.
    pub pod_ip: Option<IpAddr>,
    /// The kernel's host name.
    pub host_name: Option<String>,
    /// The content of `/etc/machine-id`.
    pub machine_id: Option<String>,
}

/// A configuration that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read the configuration {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// It is no YAML of the documented keys.
    #[error("failed to parse the configuration {}", .0.display())]
    Parse(PathBuf, #[source] Box<serde_saphyr::Error>),
    /// A key has a value that it cannot have.
    #[error("`{key}` cannot be `{value}`: {why}")]
    Value {
        /// The key, from the top.
        key: &'static str,
        /// What the file gave it.
        value: String,
        /// What it can be.
        why: String,
    },
    /// The node has no name.
    #[error("this node has no name; set `{0}`")]
    Nameless(&'static str),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    aggregator: Option<String>,
    admin_listen: Option<String>,
    state_dir: Option<PathBuf>,
    node_name: Option<String>,
    agent_id: Option<String>,
    #[serde(default)]
    spool: RawSpool,
    #[serde(default)]
    budget: RawBudget,
    #[serde(default)]
    memory: RawMemory,
    #[serde(default)]
    probes: RawProbes,
    #[serde(default)]
    syscalls: RawSyscalls,
    #[serde(default)]
    log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpool {
    max_size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBudget {
    cpu_millis_per_core: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMemory {
    max_size: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProbes {
    mode: Option<Mode>,
    #[serde(default)]
    disabled: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSyscalls {
    #[serde(default)]
    all_calls: bool,
    ignore: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLog {
    level: Option<String>,
    format: Option<LogFormat>,
}

impl Config {
    /// Reads the configuration of a file, or the defaults without one.
    pub fn load(path: Option<&Path>, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Self::from_raw(RawConfig::default(), surroundings);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(path.to_owned(), error))?;
        let raw =
            parse(&text).map_err(|error| ConfigError::Parse(path.to_owned(), Box::new(error)))?;
        Self::from_raw(raw, surroundings)
    }

    /// Returns the configuration as YAML, defaults filled in.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(self)
    }

    fn from_raw(raw: RawConfig, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let node_name = name(
            "node_name",
            [
                &raw.node_name,
                &surroundings.node_name,
                &surroundings.host_name,
            ],
        )?;
        let agent_id = name(
            "agent_id",
            [
                &raw.agent_id,
                &surroundings.node_name,
                &surroundings.machine_id,
            ],
        )?;
        Ok(Self {
            aggregator: aggregator(raw.aggregator.as_deref().unwrap_or(DEFAULT_AGGREGATOR))?,
            admin_listen: admin_listen(raw.admin_listen, surroundings.pod_ip)?,
            state_dir: raw.state_dir.unwrap_or_else(|| DEFAULT_STATE_DIR.into()),
            node_name,
            agent_id,
            spool: SpoolConfig {
                max_size: max_size(
                    "spool.max_size",
                    raw.spool.max_size,
                    DEFAULT_SPOOL_MAX_SIZE,
                    ByteSize(spool::MIN_MAX_BYTES),
                )?,
            },
            budget: BudgetConfig {
                cpu_millis_per_core: cpu_millis_per_core(raw.budget.cpu_millis_per_core)?,
            },
            memory: MemoryConfig {
                max_size: max_size(
                    "memory.max_size",
                    raw.memory.max_size,
                    DEFAULT_MEMORY_MAX_SIZE,
                    MIN_MEMORY_MAX_SIZE,
                )?,
            },
            probes: ProbesConfig {
                mode: raw.probes.mode.unwrap_or_default(),
                disabled: disabled_probes(raw.probes.disabled)?,
            },
            syscalls: SyscallsConfig {
                all_calls: raw.syscalls.all_calls,
                ignore: ignored_failures(raw.syscalls.ignore)?,
            },
            log: LogConfig {
                level: log_level(raw.log.level)?,
                format: raw.log.format.unwrap_or_default(),
            },
        })
    }
}

impl Surroundings {
    /// Looks around.
    pub fn read() -> Self {
        let text = |path: &str| {
            std::fs::read_to_string(path)
                .ok()
                .map(|s| s.trim().to_owned())
        };
        Self {
            node_name: std::env::var("NODE_NAME").ok(),
            pod_ip: std::env::var("POD_IP").ok().and_then(|ip| ip.parse().ok()),
            host_name: text("/proc/sys/kernel/hostname"),
            machine_id: text("/etc/machine-id"),
        }
    }
}

fn parse(text: &str) -> Result<RawConfig, serde_saphyr::Error> {
    // A file of comments alone is a document without a value.
    let blank = |line: &str| line.trim_start().starts_with('#') || line.trim().is_empty();
    if text.lines().all(blank) {
        Ok(RawConfig::default())
    } else {
        serde_saphyr::from_str(text)
    }
}

/// Takes the first candidate that is there.
fn name(key: &'static str, candidates: [&Option<String>; 3]) -> Result<String, ConfigError> {
    let name = candidates
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty());
    let name = name.ok_or(ConfigError::Nameless(key))?;
    if name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        let why = format!("a name is at most {MAX_NAME_BYTES} bytes without control characters");
        return Err(ConfigError::Value {
            key,
            value: name.clone(),
            why,
        });
    }
    Ok(name.clone())
}

fn aggregator(url: &str) -> Result<Endpoint, ConfigError> {
    let refuse = |why: &str| ConfigError::Value {
        key: "aggregator",
        value: url.to_owned(),
        why: why.to_owned(),
    };
    let endpoint = Stream::endpoint(url)
        .map_err(|_not_a_url| refuse("it must be a URL such as http://inquest-aggregator:7701"))?;
    match endpoint.uri().scheme_str() {
        Some("http") if endpoint.uri().host().is_some() => Ok(endpoint),
        Some("https") => Err(refuse("this release speaks plain http only; use http://")),
        _ => Err(refuse("it must begin with http:// and name a host")),
    }
}

fn admin_listen(raw: Option<String>, pod_ip: Option<IpAddr>) -> Result<SocketAddr, ConfigError> {
    let Some(value) = raw else {
        return Ok((Ipv4Addr::LOCALHOST, DEFAULT_ADMIN_PORT).into());
    };
    let refuse = |why: &str| ConfigError::Value {
        key: "admin_listen",
        value: value.clone(),
        why: why.to_owned(),
    };
    let address: SocketAddr = value
        .parse()
        .map_err(|_no_address| refuse("it must be an address and port such as 127.0.0.1:7702"))?;
    if address.ip().is_loopback() || Some(address.ip()) == pod_ip {
        Ok(address)
    } else {
        Err(refuse(
            "it must be a loopback address, or the pod's own (POD_IP)",
        ))
    }
}

/// Reads the size of `key`, from `least` on.
fn max_size(
    key: &'static str,
    raw: Option<String>,
    default: ByteSize,
    least: ByteSize,
) -> Result<ByteSize, ConfigError> {
    let Some(value) = raw else {
        return Ok(default);
    };
    let refuse = |why| ConfigError::Value {
        key,
        value: value.clone(),
        why,
    };
    let size = ByteSize::parse(&value)
        .ok_or_else(|| refuse("it must be a number with a unit such as 64MiB".to_owned()))?;
    if size.0 < least.0 {
        return Err(refuse(format!("it must be {least} at least")));
    }
    Ok(size)
}

fn cpu_millis_per_core(raw: Option<u32>) -> Result<u32, ConfigError> {
    let millis = raw.unwrap_or(DEFAULT_CPU_MILLIS_PER_CORE);
    if (1..=MAX_CPU_MILLIS_PER_CORE).contains(&millis) {
        return Ok(millis);
    }
    Err(ConfigError::Value {
        key: "budget.cpu_millis_per_core",
        value: millis.to_string(),
        why: format!("it must be from 1 to {MAX_CPU_MILLIS_PER_CORE}; 10 is one per cent"),
    })
}

fn disabled_probes(names: Vec<String>) -> Result<Vec<String>, ConfigError> {
    match names
        .iter()
        .find(|name| !probes::names().any(|known| known == *name))
    {
        None => Ok(names),
        Some(unknown) => Err(ConfigError::Value {
            key: "probes.disabled",
            value: unknown.clone(),
            why: format!(
                "the probes are {}",
                probes::names().collect::<Vec<_>>().join(", ")
            ),
        }),
    }
}

fn ignored_failures(rules: Option<Vec<String>>) -> Result<IgnoreList, ConfigError> {
    let Some(rules) = rules else {
        return Ok(IgnoreList::default());
    };
    IgnoreList::parse(rules).map_err(|(value, error)| ConfigError::Value {
        key: "syscalls.ignore",
        value,
        why: format!("{error}; rules are such as EAGAIN, futex:ETIMEDOUT or !clone:EAGAIN"),
    })
}

fn log_level(raw: Option<String>) -> Result<String, ConfigError> {
    let level = raw.unwrap_or_else(|| DEFAULT_LOG_LEVEL.to_owned());
    match telemetry::parse_level(&level) {
        Ok(_) => Ok(level),
        Err(_) => Err(ConfigError::Value {
            key: "log.level",
            value: level,
            why: "it must be error, warn, info, debug or trace, or directives such as \
                  info,inquest_agent=debug"
                .to_owned(),
        }),
    }
}

fn endpoint_as_text<S: Serializer>(endpoint: &Endpoint, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(endpoint.uri())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(yaml: &str) -> Result<Config, ConfigError> {
        let surroundings = Surroundings {
            node_name: Some("node-a".into()),
            pod_ip: Some([10, 1, 2, 3].into()),
            host_name: Some("host-a".into()),
            machine_id: Some("0123".into()),
        };
        let raw = parse(yaml).map_err(|e| ConfigError::Parse("test".into(), Box::new(e)))?;
        Config::from_raw(raw, &surroundings)
    }

    #[test]
    fn the_shipped_example_is_all_defaults() {
        let example = load(include_str!("../../deploy/config/agent.yaml")).unwrap();
        assert_eq!(
            example.to_yaml().unwrap(),
            load("").unwrap().to_yaml().unwrap()
        );
    }

    #[test]
    fn fills_in_defaults() {
        for yaml in ["", "# nothing but a comment\n"] {
            let config = load(yaml).unwrap();
            assert_eq!(
                config.aggregator.uri().to_string(),
                "http://127.0.0.1:7701/"
            );
            assert_eq!(config.admin_listen.to_string(), "127.0.0.1:7702");
            assert_eq!(config.spool.max_size, ByteSize(64 << 20));
            assert_eq!(
                (config.node_name.as_str(), config.agent_id.as_str()),
                ("node-a", "node-a")
            );
        }
    }

    #[test]
    fn without_kubernetes_the_host_names_the_node_and_the_machine_the_agent() {
        let host = Surroundings {
            host_name: Some("host-a".into()),
            machine_id: Some("0123".into()),
            ..Surroundings::default()
        };
        let config = Config::from_raw(RawConfig::default(), &host).unwrap();
        assert_eq!(
            (config.node_name.as_str(), config.agent_id.as_str()),
            ("host-a", "0123")
        );
        let error = Config::from_raw(RawConfig::default(), &Surroundings::default()).unwrap_err();
        assert!(error.to_string().contains("node_name"), "{error}");
    }

    #[test]
    fn refuses_what_cannot_be_and_names_the_key() {
        for (yaml, key) in [
            ("aggregator: 'not a url'", "aggregator"),
            ("aggregator: https://aggregator:7701", "aggregator"),
            ("aggregator: aggregator", "aggregator"),
            ("admin_listen: 0.0.0.0:7702", "admin_listen"),
            ("admin_listen: localhost", "admin_listen"),
            ("spool: {max_size: 64}", "spool.max_size"),
            ("spool: {max_size: 1MiB}", "spool.max_size"),
            ("memory: {max_size: 96}", "memory.max_size"),
            ("memory: {max_size: 31MiB}", "memory.max_size"),
            ("spool: {max_size: 99999999999GiB}", "spool.max_size"),
            (
                "budget: {cpu_millis_per_core: 0}",
                "budget.cpu_millis_per_core",
            ),
            ("probes: {disabled: [mark_viktim]}", "probes.disabled"),
            ("log: {level: 'inquest_agent=loud'}", "log.level"),
            ("syscalls: {ignore: [EAGAIN, ENOTHING]}", "syscalls.ignore"),
            ("node_name: \"a\\u0007\"", "node_name"),
        ] {
            let error = load(yaml).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{yaml}: {error}");
        }
    }

    #[test]
    fn refuses_unknown_keys_by_name() {
        for (yaml, word) in [
            ("agregator: http://a:1", "agregator"),
            ("spool: {maxsize: 64MiB}", "maxsize"),
            ("log: {format: xml}", "xml"),
            ("probes: {mode: sometimes}", "sometimes"),
        ] {
            let error = load(yaml).unwrap_err();
            let shown = telemetry::ErrorChain(&error).to_string();
            assert!(shown.contains(word), "{yaml}: {shown}");
        }
    }

    #[test]
    fn the_pods_own_address_may_serve_admin() {
        assert!(load("admin_listen: 10.1.2.3:7702").is_ok());
        assert!(load("admin_listen: '[::1]:0'").is_ok());
    }

    #[test]
    fn the_shipped_example_holds_the_defaults() {
        let example = include_str!("../../deploy/config/agent.yaml");
        assert_eq!(
            load(example).unwrap().to_yaml().unwrap(),
            load("").unwrap().to_yaml().unwrap()
        );
    }

    #[test]
    fn the_manual_names_every_key() {
        let manual = include_str!("../../docs/config.md");
        let shown = serde_json::to_value(load("").unwrap()).unwrap();
        for (key, value) in shown.as_object().unwrap() {
            let keys = match value.as_object() {
                Some(section) => section
                    .keys()
                    .map(|inner| format!("{key}.{inner}"))
                    .collect(),
                None => vec![key.clone()],
            };
            for key in keys {
                assert!(manual.contains(&format!("| `{key}` |")), "{key}");
            }
        }
    }

    #[test]
    fn what_it_prints_it_reads() {
        let printed = load("probes: {disabled: [mark_victim]}")
            .unwrap()
            .to_yaml()
            .unwrap();
        assert_eq!(load(&printed).unwrap().to_yaml().unwrap(), printed);
    }
}
