//! The aggregator's own state in one answer. Must not judge it: `inquest doctor` does.

use std::{path::Path, sync::Arc};

use axum::{Json, extract::State};
use inquest_api::{
    API_VERSION,
    status::{IncidentCounts, NodeCounts, Status, StoreStatus},
};

use super::{ApiState, error::ApiError};
use crate::store::{ReadError, SCHEMA_VERSION, incidents, signals};

/// `GET /api/v1/status`
pub(super) async fn show_status(State(state): State<ApiState>) -> Result<Json<Status>, ApiError> {
    let path = state.reads.path().to_owned();
    let (counts, signals, size_bytes) = state
        .reads
        .read(move |connection| {
            let counts = incidents::counts(connection)?;
            let signals = signals::count(connection)?;
            Ok::<_, ReadError>((counts, signals, size(&path)))
        })
        .await?;
    let nodes = Arc::clone(&state.view.nodes.borrow());
    let connected = || nodes.iter().filter(|node| node.connected);
    let error = state.view.store_error.borrow().clone();
    Ok(Json(Status {
        api_version: API_VERSION.to_owned(),
        kind: "Status".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: state.started_at.into(),
        store: StoreStatus {
            path: state.reads.path().display().to_string(),
            schema_version: SCHEMA_VERSION,
            size_bytes,
            signals,
            error,
        },
        analysis: (state.analysis)(),
        nodes: NodeCounts {
            known: nodes.len() as u64,
            connected: connected().count() as u64,
            short_of_memory: connected().filter(|node| node.is_short_of_memory()).count() as u64,
        },
        incidents: IncidentCounts {
            open: counts.open,
            resolved: counts.resolved,
        },
    }))
}

/// Bytes of the store's file and its write-ahead log; what cannot be read counts as nothing.
fn size(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let length = |path: &Path| path.metadata().map_or(0, |file| file.len());
    length(path) + length(Path::new(&log))
}
