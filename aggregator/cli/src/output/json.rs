//! Objects as JSON and YAML, unchanged. Must add and leave out nothing.

use serde::Serialize;

use crate::failure::Failure;

const NEXT: &str = "try another format with -o, and report this";

/// Indented JSON with a final newline.
pub(crate) fn json(object: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(object)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new("cannot write this as JSON", error, NEXT))
}

/// JSON on one line, with its newline.
pub(crate) fn line(object: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(object)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new("cannot write this as JSON", error, NEXT))
}

/// YAML with a final newline.
pub(crate) fn yaml(object: &impl Serialize) -> Result<String, Failure> {
    serde_saphyr::to_string(object)
        .map(|text| text.trim_end().to_owned() + "\n")
        .map_err(|error| Failure::new("cannot write this as YAML", error, NEXT))
}
