//! The bundle: one case as a folder or a `.tar.gz`, as `docs/bundle.md` documents it. Must hold no
//! conclusions, only what was recorded.

use inquest_api::time::Time;
use serde::{Deserialize, Serialize};

pub(crate) mod read;
pub(crate) mod write;

/// The version of the format that is written and read here.
pub(crate) const VERSION: u32 = 1;

pub(crate) const MANIFEST: &str = "bundle.json";
pub(crate) const SIGNALS: &str = "signals.jsonl";
pub(crate) const NODES: &str = "nodes.json";

/// `bundle.json`, the only file that every bundle has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Manifest {
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What `now` was when it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<Time>,
    /// What span was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
}

/// A span of time, its end not included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Window {
    pub start: Time,
    pub end: Time,
}
