//! Nodes as the pipeline last published them. Must not ask the store.

use std::sync::Arc;

use axum::{Json, extract::State};
use inquest_api::{List, node::Node};

use super::ApiState;

/// `GET /api/v1/nodes`
pub(super) async fn list_nodes(State(state): State<ApiState>) -> Json<List<Node>> {
    let nodes = Arc::clone(&state.view.nodes.borrow());
    let items = nodes.iter().map(|node| node.as_ref().clone()).collect();
    Json(List::new("NodeList", items, None))
}
