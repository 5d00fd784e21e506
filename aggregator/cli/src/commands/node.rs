//! `inquest node list`. Must show what agents report, not what it means.

use inquest_api::List;
use inquest_api::node::{Cost, MemoryLevel, Node, Probe};

use super::Outcome;
use crate::age;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::table::{Column, Table, column, wide};
use crate::output::{Output, Page, View, text};

const COLUMNS: [Column; 11] = [
    column("NAME"),
    column("STATUS"),
    column("PROBES"),
    column("LOST"),
    column("VERSION"),
    column("LAST-SEEN"),
    wide("KERNEL"),
    wide("CGROUP"),
    wide("SPOOLED"),
    wide("CPU"),
    wide("MEMORY"),
];

impl View for List<Node> {
    fn text(&self, page: &Page) -> String {
        let mut table = Table::new(&COLUMNS);
        for node in &self.items {
            table.row(row(node, page));
        }
        table.render(page)
    }

    fn names(&self) -> Vec<String> {
        self.items
            .iter()
            .map(|node| format!("node/{}", node.name))
            .collect()
    }
}

fn row(node: &Node, page: &Page) -> [String; 11] {
    let status = if node.connected {
        "Connected"
    } else {
        "Disconnected"
    };
    [
        node.name.clone(),
        status.to_owned(),
        probes(&node.probes),
        node.lost_total().to_string(),
        known(&node.agent_version),
        age::since(node.last_seen_at.0, page.now),
        known(&node.kernel_release),
        cgroup(node.cgroup_version).to_owned(),
        text::bytes(node.spool_bytes),
        node.cost.map_or_else(|| known(""), cpu),
        node.cost.map_or_else(|| known(""), memory),
    ]
}

/// How many watch of how many there are, and how many wait for the cost governor.
fn probes(probes: &[Probe]) -> String {
    let is_ready = |probe: &&Probe| probe.is_attached() || probe.is_at_rest();
    let attached = probes.iter().filter(is_ready).count();
    let waiting = probes
        .iter()
        .filter(|probe| probe.is_on_demand() && !probe.is_at_rest());
    let waiting = waiting.count();
    let all = probes.len();
    match waiting {
        0 => format!("{attached}/{all}"),
        waiting => format!("{attached}/{all} ({waiting} on-demand)"),
    }
}

/// Thousandths of one CPU, as Kubernetes writes them, of what the agent may take.
fn cpu(cost: Cost) -> String {
    let spent = cost.kernel_millis + cost.user_millis;
    format!("{spent:.1}m of {:.0}m", cost.budget_millis)
}

fn memory(cost: Cost) -> String {
    let (used, limit) = (cost.memory_bytes, cost.memory_max_bytes);
    let level = match cost.memory_level {
        MemoryLevel::Unknown | MemoryLevel::Ample => "",
        MemoryLevel::Near => " (near)",
        MemoryLevel::Short => " (short)",
    };
    format!("{} of {}{level}", text::bytes(used), text::bytes(limit))
}

fn known(text: &str) -> String {
    if text.is_empty() {
        "<unknown>".to_owned()
    } else {
        text.to_owned()
    }
}

const fn cgroup(version: u32) -> &'static str {
    match version {
        1 => "v1",
        2 => "v2",
        3 => "hybrid",
        _ => "<unknown>",
    }
}

/// Every node; one page holds them all.
pub(crate) async fn fetch(client: &Client) -> Result<List<Node>, Failure> {
    client.get(&["nodes"], &[]).await
}

pub(crate) async fn list(client: &Client, output: &Output) -> Outcome {
    let nodes = fetch(client).await?;
    if nodes.items.is_empty() {
        output.note("no node has reported yet; check with `inquest doctor`");
    }
    output.show(&nodes, jiff::Timestamp::now())?;
    Ok(Exit::Ok)
}
