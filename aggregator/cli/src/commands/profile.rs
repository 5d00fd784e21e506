//! `inquest profile`: has an agent watch a container and shows where its threads spent the time. Must not say which share
//! is too much: threads that wait for work wait, too.

use std::time::Duration;

use inquest_api::List;
use inquest_api::signal::{from_json, to_engine};
use inquest_engine::model::signal::{ContendedLock, WaitProfile, WaitShare};
use inquest_engine::model::{NodeName, SignalBody};
use serde::Serialize;
use serde_json::Value;

use super::{Outcome, signal};
use crate::agent_page::{AgentPage, Begun};
use crate::args::ProfileArgs;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::table::{Column, Table, column};
use crate::output::{Output, Page, View};

/// How long after the window a profile may still come: agents take requests up and end windows once a second, and send
/// within another.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long one question to the aggregator may be held back.
const POLL: Duration = Duration::from_secs(5);

const SHARES: [Column; 7] = [
    column("STATE"),
    column("SHARE"),
    column("THREADS"),
    column("LONGEST"),
    column("CALL"),
    column("MOST-BY"),
    column("PEER"),
];
const LOCKS: [Column; 4] = [
    column("LOCK"),
    column("PROCESS"),
    column("WAITERS"),
    column("PASSED-ON"),
];

/// One signal as REST gives it, unchanged.
#[derive(Serialize)]
#[serde(transparent)]
struct Profile {
    signal: Value,
    #[serde(skip)]
    read: WaitProfile,
}

impl View for Profile {
    fn text(&self, page: &Page) -> String {
        let mut shares = Table::new(&SHARES);
        for share in &self.read.shares {
            shares.row(share_cells(share));
        }
        let mut text = shares.render(page);
        if !self.read.locks.is_empty() {
            let mut locks = Table::new(&LOCKS);
            for lock in &self.read.locks {
                locks.row(lock_cells(lock));
            }
            text.push('\n');
            text.push_str(&locks.render(page));
        }
        text
    }

    fn names(&self) -> Vec<String> {
        vec![signal::name(&self.signal)]
    }
}

fn share_cells(of: &WaitShare) -> [String; 7] {
    [
        signal::state(of.state).to_owned(),
        format!("{:.1} %", f64::from(of.permille) / 10.0),
        of.threads.to_string(),
        signal::millis(of.longest_ns),
        of.syscall.clone(),
        of.thread.as_ref().map(signal::process).unwrap_or_default(),
        of.peer.as_ref().map(signal::address).unwrap_or_default(),
    ]
}

fn lock_cells(of: &ContendedLock) -> [String; 4] {
    [
        format!("{:#x}", of.address),
        of.process.as_ref().map(signal::process).unwrap_or_default(),
        of.waiters.to_string(),
        if of.passed { "yes" } else { "not seen" }.to_owned(),
    ]
}

/// Asks the agent, waits for the window to end, and shows what the aggregator was told.
pub(crate) async fn run(
    client: &Client,
    args: &ProfileArgs,
    timeout: Duration,
    output: &Output,
) -> Outcome {
    let window = args.r#for.0;
    let agent = AgentPage::try_new(&args.agent, timeout)?;
    let after = signal::newest(client).await?;
    let begun = agent.profile(&args.target, window.as_secs()).await?;
    output.note(&format!(
        "watching {} on node {} for {} s",
        begun.cgroup,
        begun.node,
        window.as_secs()
    ));
    let profile = wait(client, &begun, window, after).await?;
    output.show(&profile, jiff::Timestamp::now())?;
    Ok(Exit::Ok)
}

/// Waits for the profile that was begun, among the signals after `after`.
async fn wait(
    client: &Client,
    begun: &Begun,
    window: Duration,
    mut after: String,
) -> Result<Profile, Failure> {
    let deadline = tokio::time::Instant::now() + window + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        let query = [
            ("kind", "wait_profile".to_owned()),
            ("node", begun.node.clone()),
            ("cgroup", begun.cgroup.clone()),
            ("limit", "1".to_owned()),
            ("wait", POLL.as_secs().to_string()),
            ("after", after.clone()),
        ];
        let page: List<Value> = client.get_within(&["signals"], &query, POLL).await?;
        after = page.metadata.continue_token.unwrap_or(after);
        if let Some(profile) = page.items.into_iter().find_map(read) {
            return Ok(profile);
        }
    }
    Err(Failure::new(
        format!("no profile of {} came", begun.cgroup),
        format!(
            "the agent of node {} watched it, but the aggregator was told nothing: it has no threads any more, or the agent \
             is not connected to this aggregator",
            begun.node
        ),
        "see whether the node is connected: `inquest node list`",
    ))
}

fn read(signal: Value) -> Option<Profile> {
    let wire = from_json(signal.clone()).ok()?;
    match to_engine(&wire, &NodeName::default()).ok()?.body {
        SignalBody::WaitProfile(read) => Some(Profile { signal, read }),
        _ => None,
    }
}
