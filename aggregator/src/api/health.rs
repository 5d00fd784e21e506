//! Liveness, readiness, metrics and the log level. Must stay cheap: probes call it every few seconds.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};

use super::{ApiState, error::ApiError};
use crate::{error_code::ErrorCode, telemetry::ErrorChain};

/// What must have happened once before the process is ready.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Latch {
    /// The store is open and the engine continues from it.
    Store = 1,
    /// Agents can connect.
    Ingest = 2,
}

/// Latches that are released once each.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU32>);

impl Readiness {
    const ALL: [(Latch, &'static str); 2] = [(Latch::Store, "store"), (Latch::Ingest, "ingest")];

    /// Releases one latch for good.
    pub fn release(&self, latch: Latch) {
        self.0.fetch_or(latch as u32, Ordering::Release);
    }

    /// Names of the latches that still hold.
    fn held(&self) -> Vec<&'static str> {
        let released = self.0.load(Ordering::Acquire);
        let holds = |(latch, _): &&(Latch, _)| released & *latch as u32 == 0;
        Self::ALL
            .iter()
            .filter(holds)
            .map(|(_, name)| *name)
            .collect()
    }
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: it can take signals and answer questions.
pub(super) async fn readyz(State(state): State<ApiState>) -> Response {
    let mut held = state.readiness.held();
    if state.stop.is_cancelled() {
        held.push("stopping");
    }
    if held.is_empty() {
        return "ready\n".into_response();
    }
    let body = format!("not ready: {}\n", held.join(", "));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

/// `GET /metrics`
pub(super) async fn metrics(State(state): State<ApiState>) -> Result<Response, ApiError> {
    let page = state.metrics.encode().map_err(|error| {
        tracing::error!(error = %ErrorChain(&error), "failed to print metrics");
        ApiError::new(
            ErrorCode::Internal,
            "metrics cannot be printed; the aggregator's log says why",
        )
    })?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, media_type)], page).into_response())
}

/// `PUT /log-level` with a level or a filter as text.
pub(super) async fn set_log_level(
    State(state): State<ApiState>,
    level: String,
) -> Result<StatusCode, ApiError> {
    let level = level.trim();
    state
        .log
        .set_level(level)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    tracing::info!(level, "log level changed");
    Ok(StatusCode::NO_CONTENT)
}
