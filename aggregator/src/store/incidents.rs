//! Incidents as stored and searched. Must answer in an order that stays the same while new ones arrive.

use inquest_api::{Analysis, Incident};
use inquest_engine::model::Timestamp;
use rusqlite::{
    Connection, OptionalExtension as _, Row, Rows, params, params_from_iter, types::Value,
};
use tracing::error;

use super::{CommitError, ReadError, column};
use crate::telemetry::ErrorChain;

mod search;

pub use search::search;

/// Which incidents are asked for; an absent part matches all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IncidentQuery {
    /// `open` or `resolved`.
    pub state: Option<String>,
    pub cause: Option<String>,
    pub node: Option<String>,
    /// Where the page before ended.
    pub before: Option<IncidentCursor>,
    pub limit: u32,
}

/// A place in the list of incidents, newest onset first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IncidentCursor {
    pub opened_at: Timestamp,
    pub id: String,
}

/// How many incidents are kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub open: u64,
    pub resolved: u64,
}

/// Writes incidents whole, except for what a model wrote about them.
pub(super) fn record(connection: &Connection, incidents: &[Incident]) -> Result<(), CommitError> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO incident (id, state, cause, node, opened_at, last_seen_at, incident)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, cause = excluded.cause, node = excluded.node,
             last_seen_at = excluded.last_seen_at, incident = excluded.incident",
    )?;
    let mut forget = connection.prepare_cached(
        "DELETE FROM incident_alias
         WHERE incident_id = ?1 AND alias NOT IN (SELECT value FROM json_each(?2))",
    )?;
    let mut alias = connection.prepare_cached(
        "INSERT OR IGNORE INTO incident_alias (alias, incident_id) VALUES (?1, ?2)",
    )?;
    for incident in incidents {
        upsert.execute(params![
            incident.id,
            incident.state,
            incident.root_cause.cause,
            incident.root_cause.entity.node,
            column(incident.opened_at.into()),
            column(incident.last_seen_at.into()),
            json("an incident", incident)?,
        ])?;
        forget.execute(params![
            incident.id,
            json("names of an incident", &incident.aliases)?
        ])?;
        for name in &incident.aliases {
            alias.execute(params![name, incident.id])?;
        }
    }
    Ok(())
}

/// Stores where the explanation of one incident stands; does nothing when the incident is gone.
pub(super) fn record_analysis(
    connection: &Connection,
    incident_id: &str,
    analysis: &Analysis,
) -> Result<(), CommitError> {
    connection
        .prepare_cached("UPDATE incident SET analysis = ?2 WHERE id = ?1")?
        .execute(params![incident_id, json("an analysis", analysis)?])?;
    Ok(())
}

fn json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, CommitError> {
    serde_json::to_string(value).map_err(|source| CommitError::Json { what, source })
}

/// One page, newest onset first, and where the next one begins.
pub fn list(
    connection: &Connection,
    query: &IncidentQuery,
) -> Result<(Vec<Incident>, Option<IncidentCursor>), ReadError> {
    let mut sql = "SELECT incident, analysis FROM incident WHERE true".to_owned();
    let mut values = Vec::new();
    let mut filter = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    };
    filter(" AND state = ?", query.state.clone().map(Value::Text));
    filter(" AND cause = ?", query.cause.clone().map(Value::Text));
    filter(" AND node = ?", query.node.clone().map(Value::Text));
    if let Some(before) = &query.before {
        filter(
            " AND (opened_at, id) < (?",
            Some(Value::Integer(column(before.opened_at))),
        );
        filter(", ?)", Some(Value::Text(before.id.clone())));
    }
    // One more than asked for tells whether there is a next page.
    filter(
        " ORDER BY opened_at DESC, id DESC LIMIT ?",
        Some(Value::Integer(i64::from(query.limit) + 1)),
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut incidents = read(statement.query(params_from_iter(values))?)?;
    let limit = query.limit as usize;
    let more = incidents.len() > limit;
    incidents.truncate(limit);
    let cursor = incidents
        .last()
        .filter(|_| more)
        .map(|last| IncidentCursor {
            opened_at: last.opened_at.into(),
            id: last.id.clone(),
        });
    Ok((incidents, cursor))
}

/// One incident by its whole id.
pub fn get(connection: &Connection, id: &str) -> Result<Option<Incident>, ReadError> {
    let found = connection
        .prepare_cached("SELECT incident, analysis FROM incident WHERE id = ?1")?
        .query_row([id], columns)
        .optional()?;
    found.map(incident).transpose()
}

/// How many are open and resolved.
pub fn counts(connection: &Connection) -> Result<Counts, ReadError> {
    let counts = connection.query_row(
        "SELECT count(*) FILTER (WHERE state = 'open'), count(*) FILTER (WHERE state <> 'open') FROM incident",
        [],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    )?;
    Ok(Counts {
        open: counts.0.cast_unsigned(),
        resolved: counts.1.cast_unsigned(),
    })
}

/// Those that are open or were seen since `since`, which the engine continues from.
pub(super) fn recent(connection: &Connection, since: Timestamp) -> rusqlite::Result<Vec<Incident>> {
    let mut statement = connection.prepare(
        "SELECT incident, analysis FROM incident WHERE state = 'open' OR last_seen_at >= ?1
         ORDER BY opened_at, id",
    )?;
    read(statement.query([column(since)])?)
}

/// Deletes up to `limit` resolved incidents last seen before `cutoff`; `None` means of any age.
pub(super) fn expire(
    connection: &Connection,
    cutoff: Option<Timestamp>,
    limit: u32,
) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM incident WHERE id IN (
             SELECT id FROM incident WHERE state = 'resolved' AND last_seen_at < ?1
             ORDER BY last_seen_at LIMIT ?2)
         RETURNING id",
    )?;
    let ids: Vec<String> = statement
        .query_map(params![cutoff.map_or(i64::MAX, column), limit], |row| {
            row.get(0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut aliases =
        connection.prepare_cached("DELETE FROM incident_alias WHERE incident_id = ?1")?;
    for id in &ids {
        aliases.execute([id])?;
    }
    Ok(ids.len())
}

type Columns = (String, Option<String>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?))
}

fn incident((incident, analysis): Columns) -> Result<Incident, ReadError> {
    let not_json = |what| move |source| ReadError::Json { what, source };
    let mut incident: Incident =
        serde_json::from_str(&incident).map_err(not_json("an incident"))?;
    if let Some(analysis) = analysis {
        let analysis = serde_json::from_str(&analysis).map_err(not_json("an analysis"))?;
        incident.analysis = Some(analysis);
    }
    Ok(incident)
}

/// Reads rows of `incident, analysis`; one that this version cannot read is left out and said so in
/// the log, so that it does not hide the others.
fn read(mut rows: Rows<'_>) -> rusqlite::Result<Vec<Incident>> {
    let mut incidents = Vec::new();
    while let Some(row) = rows.next()? {
        match incident(columns(row)?) {
            Ok(incident) => incidents.push(incident),
            Err(error) => {
                error!(error = %ErrorChain(&error), "a stored incident is not readable; left out");
            }
        }
    }
    Ok(incidents)
}

impl IncidentQuery {
    /// Whether an incident is asked for; `before` and `limit` aside.
    pub fn matches(&self, incident: &Incident) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|w| w == value);
        is(&self.state, &incident.state)
            && is(&self.cause, &incident.root_cause.cause)
            && is(&self.node, &incident.root_cause.entity.node)
    }
}
