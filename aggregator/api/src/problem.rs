//! Errors as REST answers give them: RFC 9457 problem details. Must not carry internals.

use serde::{Deserialize, Serialize};

/// Media type of a problem body.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// One RFC 9457 problem.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// Always `about:blank`: the status says the type, `code` the particulars.
    #[serde(rename = "type")]
    pub type_uri: String,
    pub title: String,
    pub status: u16,
    /// What went wrong and what to do next, for a person.
    pub detail: String,
    /// Closed list, for programs, for example `incident_not_found`.
    pub code: String,
    /// Names this answer in the aggregator's log.
    pub request_id: String,
}
