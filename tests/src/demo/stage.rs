//! Where demos are played: a running aggregator whose agent watches this machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use inquest_api::Incident;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::play::{About, Name, Played, Stored};
use crate::binaries::Binaries;
use crate::client::Client;
use crate::proof::{Proof, ms};
use crate::victim::Launcher;

/// Longest wait for an incident, and for its cause to be settled; the bar is far below.
const INCIDENT_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between looks at an incident whose cause is not settled yet.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a demo needs.
#[derive(Debug)]
pub struct Stage {
    pub client: Client,
    pub launcher: Launcher,
    cli: PathBuf,
}

impl Stage {
    /// Plays against a private stack.
    pub fn new(client: Client, launcher: Launcher, cli: &Path) -> Self {
        Self {
            client,
            launcher,
            cli: cli.to_owned(),
        }
    }

    /// Plays against the aggregator at `base`; fails with the next step when none watches.
    pub async fn against_running(base: &str) -> anyhow::Result<Self> {
        let client = Client::new(base)?;
        let nodes = client.nodes().await.map_err(|error| {
            anyhow::anyhow!(
                "no aggregator answers at {base}: {error:#}\nnext: start one with `cargo xtask up`"
            )
        })?;
        anyhow::ensure!(
            nodes.iter().any(|node| node.connected),
            "no agent is connected to the aggregator at {base}\nnext: `cargo xtask up` as root, then \
             `inquest doctor`"
        );
        let binaries = Binaries::beside_own()?;
        Ok(Self::new(client, Launcher::own()?, &binaries.cli))
    }

    /// Waits for the incident about what was played and holds it against the truth; false when there
    /// is none.
    ///
    /// Bars begin with `of`, so that those of several failures can be told apart.
    pub async fn judge(
        &self,
        of: &str,
        played: &Played,
        proof: &mut Proof,
    ) -> anyhow::Result<bool> {
        let name = |what: &str| format!("{of}: {what}");
        let first = self
            .client
            .first_incident(&played.target, INCIDENT_DEADLINE)
            .await?;
        let visible = ms(played.since.elapsed().as_secs_f64() * 1e3);
        if first.is_none() {
            proof.exactly(&name("incidents"), 0, 1);
            return Ok(false);
        }
        let incident = self.settled(played).await?;
        proof.figure(&name("incident"), &incident.id)?;
        let bar = played.visible_within.as_secs_f64() * 1e3;
        proof.below(&name("failure to incident visible"), visible, bar);
        proof.exactly(
            &name("cause"),
            incident.root_cause.cause.as_str(),
            played.cause,
        );
        let missing = missing_names(&incident, &played.names);
        for absent in &missing {
            proof.figure(
                &name("not named"),
                format!("{} `{}`", absent.what, absent.spelled),
            )?;
        }
        let all = played.names.len();
        proof.exactly(&name("facts named"), all - missing.len(), all);
        let holding = self.holding(&played.stored).await?;
        match played.stored.about {
            About::Process(_) => proof.exactly(&name("signals that hold the truth"), holding, 1),
            // How often it is told depends on how long it went on.
            About::Cgroup(_) => proof.exactly(&name("told truly"), holding > 0, true),
        }
        Ok(true)
    }

    /// How many stored signals tell the truth about a failure.
    async fn holding(&self, stored: &Stored) -> anyhow::Result<usize> {
        let about = match &stored.about {
            About::Process(pid) => ("pid", pid.to_string()),
            About::Cgroup(path) => ("cgroup", path.clone()),
        };
        let filter = [("kind", stored.kind), (about.0, about.1.as_str())];
        let signals = self.client.signals(&filter).await?;
        let holding = signals.iter().filter(|signal| (stored.holds)(signal));
        Ok(holding.count())
    }

    /// The incident once its cause is the one expected and all is named, or as it is at the deadline: what a
    /// workload suffers may be told before the end that it leads to.
    async fn settled(&self, played: &Played) -> anyhow::Result<Incident> {
        let deadline = Instant::now() + INCIDENT_DEADLINE;
        loop {
            let report = self.client.why(&played.target).await?;
            let incident = report.and_then(|report| report.incidents.into_iter().next());
            let incident = incident.context("the incident is gone again")?;
            let is_settled = incident.root_cause.cause == played.cause
                && missing_names(&incident, &played.names).is_empty();
            if is_settled || Instant::now() > deadline {
                return Ok(incident);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Shows what a person sees who asks `inquest why TARGET`.
    pub async fn show_report(&self, played: &Played) -> anyhow::Result<()> {
        crate::output::line(format_args!("\n$ inquest why {}", played.target));
        let status = self
            .cli(&["why", &played.target])
            .status()
            .await
            .context("failed to run inquest")?;
        anyhow::ensure!(status.success(), "inquest why ended with {status}");
        Ok(())
    }

    /// The command line against this stage's aggregator.
    pub fn cli(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.cli);
        command.args(args).stdin(Stdio::null());
        command.env("INQUEST_AGGREGATOR", self.client.base());
        command
    }
}

/// The names that are nowhere in what the incident says in words.
fn missing_names(incident: &Incident, names: &[Name]) -> Vec<Name> {
    let mut said = vec![incident.headline.as_str(), &incident.explanation];
    for evidence in &incident.evidence {
        said.extend([evidence.entity.name.as_str(), &evidence.text]);
    }
    let said = said.join("\n");
    let is_missing = |name: &&Name| !said.contains(&name.spelled);
    names.iter().filter(is_missing).cloned().collect()
}
