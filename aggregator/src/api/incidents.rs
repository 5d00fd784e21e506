//! Incidents and the answer to "why?". Must answer from the store alone, and never wait for a model.

use axum::{
    Json,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse as _, Response},
};
use inquest_api::{Incident, List, Report};
use inquest_engine::model::Timestamp;
use serde::Deserialize;

use super::{
    ApiState,
    error::{ApiError, Params},
    page_limit,
    wait::Wait,
};
use crate::{
    error_code::ErrorCode,
    pipeline::Revision,
    store::incidents::{IncidentCursor, IncidentQuery, get, list, search},
};

/// Most incidents that one question is answered with.
const MAX_ANSWERS: u32 = 10;
/// Longest target: a cgroup path.
const MAX_TARGET_BYTES: usize = 4096;

/// Query parameters of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListParams {
    state: Option<String>,
    cause: Option<String>,
    node: Option<String>,
    target: Option<String>,
    limit: Option<u32>,
    r#continue: Option<String>,
    wait: Option<u64>,
}

/// `GET /api/v1/incidents`
pub(super) async fn list_incidents(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let wait = Wait::parse(params.wait, &state)?;
    let query = params.to_query()?;
    let known = headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    let mut revisions = state.view.revision.clone();
    loop {
        let revision = revisions.borrow_and_update().incidents;
        let is_news = move |now: &Revision| now.incidents != revision;
        let tag = state.tag(revision);
        if known == Some(tag.as_str()) {
            if !wait.until(&mut revisions, is_news).await {
                return Ok(tagged(&tag, StatusCode::NOT_MODIFIED.into_response()));
            }
            continue;
        }
        let page = page(&state, query.clone(), params.target.clone()).await?;
        // Without a tag to compare with, a wait is for the first incident that matches.
        let is_answer = known.is_some() || !page.items.is_empty();
        if is_answer || !wait.until(&mut revisions, is_news).await {
            return Ok(tagged(&tag, Json(page).into_response()));
        }
    }
}

async fn page(
    state: &ApiState,
    query: IncidentQuery,
    target: Option<String>,
) -> Result<List<Incident>, ApiError> {
    let (incidents, next) = state
        .reads
        .read(move |connection| match target {
            Some(target) => {
                let mut found = search(connection, &target, query.limit)?;
                found.retain(|incident| query.matches(incident));
                Ok((found, None))
            }
            None => list(connection, &query),
        })
        .await?;
    Ok(List::new("IncidentList", incidents, next.map(write_cursor)))
}

fn tagged(tag: &str, mut response: Response) -> Response {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

impl ListParams {
    fn to_query(&self) -> Result<IncidentQuery, ApiError> {
        let known_state = |state: &String| matches!(state.as_str(), "open" | "resolved");
        if let Some(state) = self.state.as_ref().filter(|state| !known_state(state)) {
            return Err(ApiError::invalid(format!(
                "state `{state}` does not exist; use open or resolved"
            )));
        }
        if let Some(target) = &self.target {
            check_target(target)?;
        }
        let before = self.r#continue.as_deref().map(read_cursor).transpose()?;
        Ok(IncidentQuery {
            state: self.state.clone(),
            cause: self.cause.clone(),
            node: self.node.clone(),
            before,
            limit: page_limit(self.limit)?,
        })
    }
}

fn check_target(target: &str) -> Result<(), ApiError> {
    if target.is_empty() || target.len() > MAX_TARGET_BYTES {
        return Err(ApiError::invalid(format!(
            "target must have 1 to {MAX_TARGET_BYTES} bytes"
        )));
    }
    Ok(())
}

fn write_cursor(cursor: IncidentCursor) -> String {
    format!("{}.{}", cursor.opened_at.as_nanos(), cursor.id)
}

fn read_cursor(token: &str) -> Result<IncidentCursor, ApiError> {
    let parse = || {
        let (opened_at, id) = token.split_once('.')?;
        Some(IncidentCursor {
            opened_at: Timestamp::from_nanos(opened_at.parse().ok()?),
            id: id.to_owned(),
        })
    };
    parse().ok_or_else(|| {
        ApiError::invalid("continue is not what the page before gave; begin again without it")
    })
}

/// `GET /api/v1/incidents/{id}`
pub(super) async fn show_incident(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<Incident>, ApiError> {
    let wanted = id.clone();
    let found = state
        .reads
        .read(move |connection| get(connection, &wanted))
        .await?;
    found.map(Json).ok_or_else(|| {
        let detail =
            format!("no incident `{id}`; `inquest incident list` shows those that are kept");
        ApiError::new(ErrorCode::IncidentNotFound, detail)
    })
}

/// Query parameters of the question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhyParams {
    target: String,
}

/// `GET /api/v1/why?target=`
pub(super) async fn why(
    State(state): State<ApiState>,
    Params(WhyParams { target }): Params<WhyParams>,
) -> Result<Json<Report>, ApiError> {
    check_target(&target)?;
    let wanted = target.clone();
    let found = state
        .reads
        .read(move |connection| search(connection, &wanted, MAX_ANSWERS))
        .await?;
    if found.is_empty() {
        let detail = format!(
            "no incident is about `{target}`; name an incident, a pid, a container id, a pod or a cgroup, or see \
             `inquest incident list`"
        );
        return Err(ApiError::new(ErrorCode::TargetNotFound, detail));
    }
    Ok(Json(Report::new(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nonsense_is_refused() {
        let cursor = IncidentCursor {
            opened_at: Timestamp::from_nanos(-5),
            id: "inc-0.1".into(),
        };
        assert_eq!(read_cursor(&write_cursor(cursor.clone())).unwrap(), cursor);
        for token in ["", "x", "1", "a.b", "99999999999999999999.x"] {
            read_cursor(token).unwrap_err();
        }
    }
}
