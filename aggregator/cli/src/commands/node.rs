//! `inquest node list`. Must show what agents report, not what it means.

use inquest_api::List;
use inquest_api::node::Node;

use super::Outcome;
use crate::age;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::table::{Column, Table, column, wide};
use crate::output::{Output, Page, View, text};

const COLUMNS: [Column; 9] = [
    column("NAME"),
    column("STATUS"),
    column("PROBES"),
    column("LOST"),
    column("VERSION"),
    column("LAST-SEEN"),
    wide("KERNEL"),
    wide("CGROUP"),
    wide("SPOOLED"),
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

fn row(node: &Node, page: &Page) -> [String; 9] {
    let attached = node.probes.iter().filter(|probe| probe.is_attached());
    let status = if node.connected {
        "Connected"
    } else {
        "Disconnected"
    };
    [
        node.name.clone(),
        status.to_owned(),
        format!("{}/{}", attached.count(), node.probes.len()),
        node.lost_total().to_string(),
        known(&node.agent_version),
        age::since(node.last_seen_at.0, page.now),
        known(&node.kernel_release),
        cgroup(node.cgroup_version).to_owned(),
        text::bytes(node.spool_bytes),
    ]
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
