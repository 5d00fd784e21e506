//! What surrounds every request: its id, its deadline, its log line on failure, its metrics. Must not
//! know what any route answers.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::Response,
};
use tokio::time::{Instant, timeout};

use super::{ApiState, error::ApiError, wait::MAX_WAIT};
use crate::{
    error_code::ErrorCode,
    metrics::{Route, observe},
};

/// How long an answer may take: the longest long poll and two reads of the store.
const DEADLINE: Duration = MAX_WAIT.saturating_add(Duration::from_secs(30));
/// A query with this parameter waits to be told something; its time says nothing about work.
const LONG_POLL: &str = "wait=";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id taken from a client.
const MAX_ID_BYTES: usize = 64;

/// Gives a request its id, a deadline and a line in the metrics; makes problem bodies.
pub(super) async fn surround(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let route = route(request.uri().path());
    let is_long_poll = request.uri().query().is_some_and(|q| q.contains(LONG_POLL));
    let mut response = match timeout(DEADLINE, next.run(request)).await {
        Ok(mut response) => match response.extensions_mut().remove::<ApiError>() {
            Some(error) => error.problem(&id),
            None => refused_by_framework(response, &id),
        },
        Err(_elapsed) => {
            let detail = "the answer was not ready in time; ask for less, or try again";
            ApiError::new(ErrorCode::Timeout, detail).problem(&id)
        }
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let status = response.status().as_u16();
    let metrics = &state.metrics.api;
    metrics
        .requests
        .get_or_create(&Route { route, status })
        .inc();
    if !is_long_poll {
        observe(&metrics.latency_seconds, started.elapsed());
    }
    response
}

/// Some requests never reach a handler: what the framework says of them becomes a problem too.
fn refused_by_framework(response: Response, id: &str) -> Response {
    let status = response.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(ErrorCode::BodyTooLarge, "the request body is too large").problem(id);
    }
    if status.is_client_error() {
        return ApiError::invalid("the request's path or body cannot be read").problem(id);
    }
    response
}

/// The client's id if it is fit to be logged, else a new one.
fn request_id(request: &Request) -> String {
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    let fit = |id: &&str| {
        (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given.filter(fit).map_or_else(random_id, str::to_owned)
}

fn random_id() -> String {
    let mut bytes = [0; 8];
    // Without a random source all ids are the same, which is no reason to refuse a request.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = [0; 8];
    }
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// The route of a path, from a closed list.
fn route(path: &str) -> &'static str {
    const WHOLE: [&str; 9] = [
        "/api/v1/incidents",
        "/api/v1/why",
        "/api/v1/signals",
        "/api/v1/nodes",
        "/api/v1/status",
        "/healthz",
        "/readyz",
        "/metrics",
        "/log-level",
    ];
    let whole = WHOLE.iter().find(|route| **route == path);
    match whole {
        Some(route) => route,
        None if path.starts_with("/api/v1/incidents/") => "/api/v1/incidents/{id}",
        None => "other",
    }
}
