//! The envelope of every REST object: `apiVersion`, `kind`, items. Must stay additive within v1.

use serde::{Deserialize, Serialize};

use crate::Incident;

/// Version of the REST objects and the report.
pub const API_VERSION: &str = "inquest.dev/v1";

/// A list as every collection endpoint answers it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    pub api_version: String,
    /// `IncidentList`, `SignalList` or `NodeList`.
    pub kind: String,
    pub metadata: ListMetadata,
    pub items: Vec<T>,
}

/// What a reader needs to page on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListMetadata {
    /// Give it back as `?continue=` for the next page; absent on the last one.
    #[serde(rename = "continue", default, skip_serializing_if = "Option::is_none")]
    pub continue_token: Option<String>,
}

impl<T> List<T> {
    /// Wraps one page of items.
    pub fn new(kind: &str, items: Vec<T>, continue_token: Option<String>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: kind.to_owned(),
            metadata: ListMetadata { continue_token },
            items,
        }
    }
}

/// What `inquest analyze` and `inquest why` print: incidents with everything that was concluded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub api_version: String,
    /// Always `Report`.
    pub kind: String,
    pub incidents: Vec<Incident>,
    /// What of the case as a whole could not be read; absent when all of it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coverage: Vec<String>,
}

impl Report {
    /// Wraps incidents, in the order given.
    pub fn new(incidents: Vec<Incident>) -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: "Report".to_owned(),
            incidents,
            coverage: Vec::new(),
        }
    }
}
