//! Stored signals, paged back in time or followed. Must give each as proto3 JSON.

use std::fmt::Display;

use axum::{Json, extract::State};
use inquest_api::{
    List,
    signal::{SignalKind, to_json},
    time::Time,
};
use inquest_engine::model::Timestamp;
use inquest_proto::v1;
use serde::Deserialize;
use serde_json::Value;

use super::{
    ApiState,
    error::{ApiError, Params},
    page_limit,
    wait::Wait,
};
use crate::{
    clock,
    config::units,
    error_code::ErrorCode,
    pipeline::Revision,
    store::signals::{From, SignalQuery, list},
};

/// Query parameters of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListParams {
    kind: Option<String>,
    node: Option<String>,
    since: Option<String>,
    until: Option<String>,
    cgroup: Option<String>,
    pid: Option<u32>,
    limit: Option<u32>,
    r#continue: Option<String>,
    after: Option<String>,
    wait: Option<u64>,
}

/// `GET /api/v1/signals`: newest first with `continue`; oldest first with `after`, where `wait` waits for more.
pub(super) async fn list_signals(
    State(state): State<ApiState>,
    Params(params): Params<ListParams>,
) -> Result<Json<List<Value>>, ApiError> {
    let wait = Wait::parse(params.wait, &state)?;
    let mut query = params.to_query(clock::now())?;
    let mut revisions = state.view.revision.clone();
    loop {
        let newest = revisions.borrow_and_update().next_signal;
        let asked = query.clone();
        let page = state
            .reads
            .read(move |connection| list(connection, &asked))
            .await?;
        let From::At(_) = query.from else {
            let token = page.next.map(|number| number.to_string());
            return answer(&page.signals, token);
        };
        let next = page.next.unwrap_or_default();
        let is_news = |now: &Revision| now.next_signal > next;
        // A filter that matches little is searched for as long as the client waits, no longer.
        let looks_on = page.signals.is_empty()
            && !wait.is_over()
            && (next < newest || wait.until(&mut revisions, is_news).await);
        if !looks_on {
            return answer(&page.signals, Some(next.saturating_sub(1).to_string()));
        }
        query.from = From::At(next);
    }
}

fn answer(signals: &[v1::Signal], token: Option<String>) -> Result<Json<List<Value>>, ApiError> {
    let items = signals.iter().map(to_json).collect::<Result<_, _>>();
    let items = items.map_err(|error| {
        tracing::error!(%error, "a stored signal cannot be written as JSON");
        ApiError::new(
            ErrorCode::Internal,
            "a signal cannot be shown; the aggregator's log says why",
        )
    })?;
    Ok(Json(List::new("SignalList", items, token)))
}

impl ListParams {
    fn to_query(&self, now: Timestamp) -> Result<SignalQuery, ApiError> {
        Ok(SignalQuery {
            kind: self.kind.as_deref().map(kind).transpose()?,
            node: self.node.clone(),
            since: time("since", self.since.as_deref(), now)?,
            until: time("until", self.until.as_deref(), now)?,
            cgroup: self.cgroup.clone(),
            pid: self.pid,
            from: self.from()?,
            limit: page_limit(self.limit)?,
        })
    }

    fn from(&self) -> Result<From, ApiError> {
        match (&self.r#continue, &self.after) {
            (Some(_), Some(_)) => Err(ApiError::invalid("give continue or after, not both")),
            (None, None) if self.wait.is_some() => Err(ApiError::invalid(
                "wait needs after: give after=0 to begin with the oldest",
            )),
            (None, None) => Ok(From::default()),
            (Some(token), None) => number("continue", token).map(From::Before),
            (None, Some(token)) => {
                number("after", token).map(|last| From::At(last.saturating_add(1)))
            }
        }
    }
}

fn number(name: &str, token: &str) -> Result<u64, ApiError> {
    let detail = || format!("{name} is not what the page before gave; begin again without it");
    token
        .parse()
        .ok()
        .ok_or_else(|| ApiError::invalid(detail()))
}

fn kind(word: &str) -> Result<SignalKind, ApiError> {
    SignalKind::parse(word).ok_or_else(|| {
        let names: Vec<_> = SignalKind::names().collect();
        ApiError::invalid(format!(
            "kind `{word}` does not exist; use {}",
            names.join(", ")
        ))
    })
}

/// Reads a time: RFC 3339, or how long ago, such as `10m`.
fn time(
    name: impl Display,
    text: Option<&str>,
    now: Timestamp,
) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let ago = units::duration(text).map(|duration| now.minus(duration));
    let at = ago.or_else(|| text.parse().ok().map(|at| Timestamp::from(Time(at))));
    at.map(Some).ok_or_else(|| {
        ApiError::invalid(format!(
            "{name} `{text}` is neither a time such as 2026-01-31T12:00:00Z nor a duration such as 10m"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_and_durations() {
        let now = Timestamp::from_nanos(1_000_000_000_000);
        let read = |text| time("since", Some(text), now).unwrap().unwrap().as_nanos();
        assert_eq!(read("10s"), 990_000_000_000);
        assert_eq!(read("1970-01-01T00:00:01.5Z"), 1_500_000_000);
        for text in ["", "yesterday", "10", "2026-13-01T00:00:00Z"] {
            time("since", Some(text), now).unwrap_err();
        }
    }
}
