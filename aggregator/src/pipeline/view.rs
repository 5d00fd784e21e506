//! What the pipeline lets readers see, after it is in the store. Must hold the latest state only.

use std::sync::Arc;

use inquest_api::node::Node;
use tokio::sync::watch;

/// Numbers that move when something is stored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Revision {
    /// Moves with each commit that changes an incident or its analysis.
    pub incidents: u64,
    /// The number that the next signal will get.
    pub next_signal: u64,
}

/// All nodes by name, shared with whoever reads them.
pub type NodeList = Arc<Vec<Arc<Node>>>;

/// The reading side; cheap to clone.
#[derive(Clone, Debug)]
pub struct View {
    pub revision: watch::Receiver<Revision>,
    pub nodes: watch::Receiver<NodeList>,
    /// Why the last write to the store failed; `None` when it went through.
    pub store_error: watch::Receiver<Option<String>>,
}

/// The pipeline's side.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) revision: watch::Sender<Revision>,
    pub(super) nodes: watch::Sender<NodeList>,
    pub(super) store_error: watch::Sender<Option<String>>,
}

impl Publisher {
    pub(super) fn new(revision: Revision, nodes: Vec<Arc<Node>>) -> (Self, View) {
        let (revision, revisions) = watch::channel(revision);
        let (nodes, node_lists) = watch::channel(Arc::new(nodes));
        let (store_error, store_errors) = watch::channel(None);
        let view = View {
            revision: revisions,
            nodes: node_lists,
            store_error: store_errors,
        };
        let publisher = Self {
            revision,
            nodes,
            store_error,
        };
        (publisher, view)
    }
}
