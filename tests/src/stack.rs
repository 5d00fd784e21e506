//! A private aggregator and agent with their own state and ports, gone when dropped. Must not touch
//! what `cargo xtask up` runs.

mod daemon;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

pub use daemon::Daemon;

use crate::binaries::Binaries;
use crate::client::Client;

/// The node name under which a private agent reports.
pub const NODE: &str = "e2e-node";
/// Configures an agent that keeps every probe attached, whatever else the machine does.
pub const ALWAYS_ON: &str = "probes:\n  mode: always-on\n";

/// The running daemons of one proof.
#[derive(Debug)]
pub struct Stack {
    // In the order in which they are to end: the agent ships what it has while it can.
    pub agent: Option<Daemon>,
    pub aggregator: Daemon,
    pub client: Client,
    ingest: SocketAddr,
    state: TempDir,
}

impl Stack {
    /// Starts an aggregator alone; `configuration` is added to its file.
    pub async fn aggregator_only(binaries: &Binaries, configuration: &str) -> anyhow::Result<Self> {
        let state = tempfile::Builder::new()
            .prefix("inquest-e2e-")
            .tempdir()
            .context("failed to make a state directory")?;
        let [rest, ingest] = free_addresses()?;
        let mut yaml = format!("listen: {rest}\ningest_listen: {ingest}\n");
        writeln!(yaml, "state_dir: {}/aggregator", state.path().display())?;
        yaml.push_str(configuration);
        let config = write_config(state.path(), "aggregator", &yaml)?;
        let aggregator = Daemon::start("aggregator", &binaries.aggregator, &config, rest).await?;
        Ok(Self {
            agent: None,
            aggregator,
            client: Client::new(format!("http://{rest}"))?,
            ingest,
            state,
        })
    }

    /// Starts an aggregator and an agent that watches this machine's kernel; needs root.
    pub async fn start(binaries: &Binaries, configuration: &str) -> anyhow::Result<Self> {
        Self::start_with(binaries, configuration, "").await
    }

    /// The same; `agent` is added to the agent's file.
    pub async fn start_with(
        binaries: &Binaries,
        configuration: &str,
        agent: &str,
    ) -> anyhow::Result<Self> {
        let mut stack = Self::aggregator_only(binaries, configuration).await?;
        let [admin] = free_addresses()?;
        let yaml = format!(
            "aggregator: {}\nadmin_listen: {admin}\nnode_name: {NODE}\nagent_id: {NODE}\nstate_dir: {}\n{agent}",
            stack.ingest_url(),
            stack.agent_state().display(),
        );
        let config = write_config(stack.state.path(), "agent", &yaml)?;
        stack.agent = Some(Daemon::start("agent", &binaries.agent, &config, admin).await?);
        Ok(stack)
    }

    /// The agent, which must have been started.
    pub fn agent(&mut self) -> anyhow::Result<&mut Daemon> {
        self.agent.as_mut().context("this stack has no agent")
    }

    /// The agent's pid.
    pub fn agent_pid(&self) -> anyhow::Result<u32> {
        self.agent
            .as_ref()
            .context("this stack has no agent")?
            .pid()
    }

    /// Where agents connect.
    pub fn ingest_url(&self) -> String {
        format!("http://{}", self.ingest)
    }

    /// The agent's state directory.
    pub fn agent_state(&self) -> PathBuf {
        self.state.path().join("agent")
    }

    /// Asks both daemons to end, the agent first; fails unless each ends with code 0.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(agent) = &mut self.agent {
            agent.stop().await?;
        }
        self.aggregator.stop().await
    }
}

/// Addresses on loopback that were free a moment ago, all different.
fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut held = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind(*address).context("failed to find a free port")?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}

fn write_config(state: &Path, daemon: &str, yaml: &str) -> anyhow::Result<PathBuf> {
    let path = state.join(format!("{daemon}.yaml"));
    std::fs::write(&path, yaml).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(path)
}
