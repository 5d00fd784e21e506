//! `inquest incident list|show`. Must show the API's objects as they are.

use inquest_api::incident::Entity;
use inquest_api::{Incident, List};

use super::{Outcome, bare, exit_for};
use crate::age;
use crate::args::{IncidentListArgs, IncidentShowArgs, IncidentState};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::table::{Column, Table, column, wide};
use crate::output::why::name;
use crate::output::{Output, Page, View};

/// Most items one request asks for; the aggregator's own cap.
const PAGE_ITEMS: u32 = 1000;

const COLUMNS: [Column; 10] = [
    column("ID"),
    column("STATE"),
    column("SEVERITY"),
    column("CAUSE"),
    column("ENTITY"),
    column("NODE"),
    column("AGE"),
    wide("LAST-SEEN"),
    wide("COUNT"),
    wide("HEADLINE"),
];

impl View for List<Incident> {
    fn text(&self, page: &Page) -> String {
        let mut table = Table::new(&COLUMNS);
        for incident in &self.items {
            table.row(row(incident, page));
        }
        table.render(page)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(name).collect()
    }
}

fn row(incident: &Incident, page: &Page) -> [String; 10] {
    let entity = &incident.root_cause.entity;
    [
        incident.id.clone(),
        incident.state.clone(),
        incident.severity.clone(),
        incident.root_cause.cause.clone(),
        entity_name(entity),
        entity.node.clone(),
        age::since(incident.opened_at.0, page.now),
        age::since(incident.last_seen_at.0, page.now),
        incident.occurrences.to_string(),
        incident.headline.clone(),
    ]
}

/// `pod/namespace/name/container`, `cgroup/…`: as short as it is unique.
fn entity_name(entity: &Entity) -> String {
    let parts = [&entity.namespace, &entity.name, &entity.container];
    let known = parts.into_iter().filter(|part| !part.is_empty());
    let name: Vec<&str> = known.map(String::as_str).collect();
    let separator = if entity.name.starts_with('/') {
        ""
    } else {
        "/"
    };
    format!(
        "{}{separator}{}",
        entity.kind.to_lowercase(),
        name.join("/")
    )
}

pub(crate) async fn list(client: &Client, args: &IncidentListArgs, output: &Output) -> Outcome {
    let (list, more) = fetch(client, args).await?;
    let now = jiff::Timestamp::now();
    if list.items.is_empty() {
        output.note("no incidents");
    }
    output.show(&list, now)?;
    if more {
        output.note(&format!(
            "more than {} incidents match: raise --limit",
            args.limit
        ));
    }
    let any_open = list.items.iter().any(Incident::is_open);
    Ok(exit_for(args.exit_code.exit_code, any_open))
}

/// Reads page after page up to the limit; tells whether more would follow.
async fn fetch(
    client: &Client,
    args: &IncidentListArgs,
) -> Result<(List<Incident>, bool), Failure> {
    let mut list = List::new("IncidentList", Vec::new(), None);
    let mut cursor: Option<String> = None;
    loop {
        let room = args.limit - u32::try_from(list.items.len()).unwrap_or(args.limit);
        let mut query = filters(args);
        query.push(("limit", room.min(PAGE_ITEMS).to_string()));
        query.extend(cursor.map(|cursor| ("continue", cursor)));
        let page: List<Incident> = client.get(&["incidents"], &query).await?;
        list.items.extend(page.items);
        list.items.truncate(args.limit as usize);
        cursor = page.metadata.continue_token;
        if cursor.is_none() || list.items.len() >= args.limit as usize {
            return Ok((list, cursor.is_some()));
        }
    }
}

fn filters(args: &IncidentListArgs) -> Vec<(&'static str, String)> {
    let state = args.state.map(|state| match state {
        IncidentState::Open => "open".to_owned(),
        IncidentState::Resolved => "resolved".to_owned(),
    });
    let filters = [
        ("state", state),
        ("node", args.node.clone()),
        ("cause", args.cause.clone()),
    ];
    filters
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

pub(crate) async fn show(client: &Client, args: &IncidentShowArgs, output: &Output) -> Outcome {
    let id = bare(&args.id, "incident");
    let incident: Incident = client.get(&["incidents", id], &[]).await?;
    output.show(&incident, jiff::Timestamp::now())?;
    Ok(exit_for(args.exit_code.exit_code, incident.is_open()))
}
