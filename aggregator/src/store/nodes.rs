//! Nodes as they last reported. Must hold no more than the REST object.

use inquest_api::node::Node;
use inquest_engine::model::Timestamp;
use rusqlite::{Connection, params};
use tracing::warn;

use super::{CommitError, column};
use crate::telemetry::ErrorChain;

pub(super) fn record(
    connection: &Connection,
    nodes: &[Node],
    now: Timestamp,
) -> Result<(), CommitError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO node (name, node, updated_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET node = excluded.node, updated_at = excluded.updated_at",
    )?;
    for node in nodes {
        let json = serde_json::to_string(node).map_err(|source| CommitError::Json {
            what: "a node",
            source,
        })?;
        statement.execute(params![node.name, json, column(now)])?;
    }
    Ok(())
}

/// All nodes, by name; one that this version cannot read is left out and said so in the log.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Node>> {
    let mut statement = connection.prepare("SELECT name, node FROM node ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut nodes = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, json): (String, String) = (row.get(0)?, row.get(1)?);
        match serde_json::from_str(&json) {
            Ok(node) => nodes.push(node),
            Err(error) => {
                warn!(node = name, error = %ErrorChain(&error), "stored node is not readable");
            }
        }
    }
    Ok(nodes)
}
