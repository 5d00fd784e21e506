//! The two daemons that `up` starts and `down` stops: their files, their addresses, whether they
//! run as built and configured.
//!
//! Prints nothing and decides nothing about order: `up` and `down` do.

use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::process::{self, Identity, PidFile, PidRecord};
use crate::{clock, command, http, workspace};

/// How long a daemon may take to end when it is asked to.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// How long a killed process may take to disappear.
const KILL_DEADLINE: Duration = Duration::from_secs(5);

/// One of the two daemons.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Receives, decides, stores, answers.
    Aggregator,
    /// Watches this machine; needs root for its probes.
    Agent,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Aggregator => "aggregator",
            Self::Agent => "agent",
        }
    }

    /// The configuration that a new state folder starts with.
    fn default_config(self, state: &Path) -> String {
        let dir = state.join(self.name());
        let addresses = match self {
            Self::Aggregator => "listen: 127.0.0.1:7700\ningest_listen: 127.0.0.1:7701\n",
            Self::Agent => "aggregator: http://127.0.0.1:7701\nadmin_listen: 127.0.0.1:7702\n",
        };
        // A JSON string is a YAML string, whatever characters the path has.
        format!(
            "{addresses}state_dir: {}\n",
            serde_json::Value::from(dir.to_string_lossy())
        )
    }

    /// The configuration keys whose values are addresses that it listens on; the first one answers
    /// `/readyz`.
    fn listen_keys(self) -> &'static [&'static str] {
        match self {
            Self::Aggregator => &["listen", "ingest_listen"],
            Self::Agent => &["admin_listen"],
        }
    }
}

/// A daemon that was just started.
#[derive(Debug)]
pub(crate) struct Started {
    /// The process.
    pub(crate) identity: Identity,
    /// The length of its log before, in bytes.
    log_start: u64,
}

/// How a daemon ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stopped {
    /// It did not run.
    WasNotRunning,
    /// It ended when asked.
    Ended,
    /// It did not end when asked, and was killed.
    Killed,
}

/// A daemon with its place in a state folder.
#[derive(Debug)]
pub(crate) struct Daemon {
    kind: Kind,
    state: PathBuf,
}

impl Daemon {
    /// Names a daemon; nothing is read or started yet.
    pub(crate) fn new(kind: Kind, state: &Path) -> Self {
        Self {
            kind,
            state: state.to_owned(),
        }
    }

    /// Its name, as people know it.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Its configuration file.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.state.join(format!("{}.yaml", self.name()))
    }

    /// The file that holds what it writes.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.state.join(format!("{}.log", self.name()))
    }

    fn pid_file(&self) -> PidFile {
        PidFile::new(self.state.join(format!("{}.pid", self.name())))
    }

    fn binary(&self) -> PathBuf {
        workspace::release_binary(&format!("inquest-{}", self.name()))
    }

    /// Writes its configuration unless there is one.
    pub(crate) fn ensure_config(&self) -> anyhow::Result<()> {
        let path = self.config_path();
        if path.is_file() {
            return Ok(());
        }
        let config = self.kind.default_config(&self.state);
        fs::write(&path, config).with_context(|| format!("failed to write {}", path.display()))
    }

    /// The process that runs it, if one does.
    pub(crate) fn running(&self) -> Option<PidRecord> {
        self.pid_file().read_alive()
    }

    /// Identifies what a start would run now: the program and its configuration.
    pub(crate) fn version(&self) -> anyhow::Result<u64> {
        let mut hasher = DefaultHasher::new();
        for path in [self.binary(), self.config_path()] {
            let bytes =
                fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
            hasher.write_usize(bytes.len());
            hasher.write(&bytes);
        }
        Ok(hasher.finish())
    }

    /// The address that answers `/readyz` and `/status`.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        let addresses = self.addresses()?;
        let first = addresses.into_iter().next();
        first
            .map(|(_, address)| address)
            .context("the daemon listens nowhere")
    }

    /// Fails, naming the address and what to do, when something else listens where it will.
    pub(crate) fn check_addresses(&self) -> anyhow::Result<()> {
        for (key, address) in self.addresses()? {
            if let Err(error) = TcpListener::bind(address) {
                bail!(
                    "the {} cannot listen on {address}: {error}\nnext: stop what uses port {} \
                     (`ss -ltnp 'sport = :{}'` names it; for an Inquest with another state folder \
                     `cargo xtask down --state DIR`), or set `{key}` in {}",
                    self.name(),
                    address.port(),
                    address.port(),
                    self.config_path().display(),
                );
            }
        }
        Ok(())
    }

    fn addresses(&self) -> anyhow::Result<Vec<(&'static str, SocketAddr)>> {
        let path = self.config_path();
        let config = command::read_lossy(&path)?;
        let find = |key: &&'static str| {
            let value = top_level_value(&config, key)
                .with_context(|| format!("found no `{key}` in {}", path.display()))?;
            let address = value
                .parse()
                .with_context(|| format!("failed to read `{key}` in {}", path.display()))?;
            Ok((*key, address))
        };
        self.kind.listen_keys().iter().map(find).collect()
    }

    /// Starts it and remembers the process.
    pub(crate) fn start(&self) -> anyhow::Result<Started> {
        let version = self.version()?;
        let log_start = fs::metadata(self.log_path()).map_or(0, |metadata| metadata.len());
        let mut command = Command::new(self.binary());
        command
            .arg("--config")
            .arg(self.config_path())
            .current_dir(&self.state);
        let identity = process::spawn_detached(&mut command, &self.log_path())?;
        self.pid_file().write(&PidRecord {
            identity: identity.clone(),
            version,
        })?;
        Ok(Started {
            identity,
            log_start,
        })
    }

    /// The last lines that it has written since it was started.
    pub(crate) fn last_words(&self, started: &Started) -> anyhow::Result<String> {
        let log = self.log_path();
        let bytes = fs::read(&log).with_context(|| format!("failed to read {}", log.display()))?;
        let written = bytes.get(started.log_start as usize..).unwrap_or_default();
        Ok(command::tail(&String::from_utf8_lossy(written)))
    }

    /// Tells whether it says that it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let answer = self
            .address()
            .and_then(|address| http::get(address, "/readyz"));
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// Stops it: asks, waits, and kills only after the deadline.
    pub(crate) fn stop(&self) -> anyhow::Result<Stopped> {
        let Some(PidRecord { identity, .. }) = self.running() else {
            self.pid_file().remove()?;
            return Ok(Stopped::WasNotRunning);
        };
        identity.signal(libc::SIGTERM)?;
        let mut stopped = Stopped::Ended;
        if !clock::wait_until(STOP_DEADLINE, || !identity.is_alive()) {
            identity.signal(libc::SIGKILL)?;
            stopped = Stopped::Killed;
            if !clock::wait_until(KILL_DEADLINE, || !identity.is_alive()) {
                bail!(
                    "process {} of the {} does not end",
                    identity.pid,
                    self.name()
                );
            }
        }
        self.pid_file().remove()?;
        Ok(stopped)
    }
}

/// Reads a plain value of a top-level key out of a YAML file. Enough for addresses; the daemons
/// themselves read their configuration whole.
fn top_level_value<'a>(yaml: &'a str, key: &str) -> Option<&'a str> {
    yaml.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.strip_prefix(':')?;
        let value = value.split(" #").next().unwrap_or_default();
        Some(value.trim().trim_matches(['"', '\'']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_out_of_the_configuration() {
        let yaml =
            "# listen: 1\nlisten: 127.0.0.1:1 # here\ningest_listen: \"[::1]:2\"\nx:\n  y: 3\n";
        assert_eq!(top_level_value(yaml, "listen"), Some("127.0.0.1:1"));
        assert_eq!(top_level_value(yaml, "ingest_listen"), Some("[::1]:2"));
        assert_eq!(top_level_value(yaml, "y"), None, "not at the top level");
    }

    #[test]
    fn written_configuration_names_every_address() {
        for kind in [Kind::Aggregator, Kind::Agent] {
            let config = kind.default_config(Path::new("/tmp/a \"b\""));
            for key in kind.listen_keys() {
                let value = top_level_value(&config, key).unwrap();
                value.parse::<SocketAddr>().unwrap();
            }
            assert!(config.contains(r#"state_dir: "/tmp/a \"b\"/"#), "{config}");
        }
    }

    #[test]
    fn taken_port_is_named_with_the_next_step() {
        let state = std::env::temp_dir().join(format!("xtask-daemon-{}", std::process::id()));
        fs::create_dir_all(&state).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap();
        let daemon = Daemon::new(Kind::Agent, &state);
        fs::write(daemon.config_path(), format!("admin_listen: {taken}\n")).unwrap();
        let error = daemon.check_addresses().unwrap_err().to_string();
        assert!(error.contains(&taken.to_string()), "{error}");
        assert!(error.contains("set `admin_listen` in"), "{error}");
        assert!(!daemon.is_ready());
        assert_eq!(daemon.stop().unwrap(), Stopped::WasNotRunning);
        fs::remove_dir_all(state).unwrap();
    }
}
