//! REST: what is stored, as the objects of `inquest-api`. Must read the store, never the engine, and
//! write nothing but the log level.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, put},
    serve::ListenerExt as _,
};
use inquest_api::status::AnalysisStatus;
use inquest_engine::model::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    error_code::ErrorCode, metrics::Metrics, pipeline::View, store::ReadPool, telemetry::LogControl,
};

mod error;
mod health;
mod incidents;
mod nodes;
mod request;
mod signals;
mod status;
mod wait;

use error::ApiError;
pub use health::{Latch, Readiness};

/// Items of a page when `limit` is not given, and the most that may be asked for.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;
/// The only body taken is a log filter.
const MAX_BODY_BYTES: usize = 4096;

/// Tells how explanations by a model stand.
pub type AnalysisStatusFn = Arc<dyn Fn() -> AnalysisStatus + Send + Sync>;

/// What handlers read from; cheap to clone.
#[derive(Clone)]
pub struct ApiState {
    pub reads: ReadPool,
    pub view: View,
    pub metrics: Metrics,
    pub log: LogControl,
    pub readiness: Readiness,
    pub analysis: AnalysisStatusFn,
    pub started_at: Timestamp,
    pub stop: CancellationToken,
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState").finish_non_exhaustive()
    }
}

impl ApiState {
    /// The entity tag of a revision: another process never gives the same one for another state.
    fn tag(&self, revision: u64) -> String {
        format!("\"{:x}-{revision}\"", self.started_at.as_nanos())
    }
}

/// Every route.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/api/v1/incidents", get(incidents::list_incidents))
        .route("/api/v1/incidents/{id}", get(incidents::show_incident))
        .route("/api/v1/why", get(incidents::why))
        .route("/api/v1/signals", get(signals::list_signals))
        .route("/api/v1/nodes", get(nodes::list_nodes))
        .route("/api/v1/status", get(status::show_status))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/log-level", put(health::set_log_level))
        .fallback(async || {
            let detail = "no such path; docs/api.md lists them";
            ApiError::new(ErrorCode::RouteNotFound, detail)
        })
        .method_not_allowed_fallback(async || {
            let detail = "this path does not take that method; docs/api.md says which it takes";
            ApiError::new(ErrorCode::MethodNotAllowed, detail)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), request::surround))
        .with_state(state)
}

/// Serves REST on `listener` until the state's `stop`, and open requests to their end.
pub async fn serve(listener: TcpListener, state: ApiState) -> std::io::Result<()> {
    let stop = state.stop.clone();
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "failed to switch off delay on a connection");
        }
    });
    axum::serve(listener, router(state))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// Reads `limit=`.
fn page_limit(limit: Option<u32>) -> Result<u32, ApiError> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid(format!(
            "limit must be within 1..={MAX_LIMIT}"
        )));
    }
    Ok(limit)
}
