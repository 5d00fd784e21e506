//! Reads a Messages request as strictly as the real server. Must not answer it.

use axum::http::{Method, request::Parts};
use serde_json::Value;

use super::{KEY, MODEL, Request, reply::Refusal, schema};

/// What the real server knows and Inquest may send; it refuses what it does not know.
const FIELDS: &[&str] = &[
    "model",
    "max_tokens",
    "system",
    "messages",
    "output_config",
    "temperature",
    "stream",
];

/// Checks headers and body.
pub(super) fn read(head: &Parts, body: &[u8], needs_key: bool) -> Result<Request, Refusal> {
    if head.uri.path() != "/v1/messages" || head.method != Method::POST {
        return Err(Refusal::new(404, "not_found_error", "Not found"));
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    match header("x-api-key") {
        Some(key) if needs_key && key != KEY => return Err(wrong_key()),
        None if needs_key => {
            return Err(Refusal::new(
                401,
                "authentication_error",
                "x-api-key header is required",
            ));
        }
        _ => {}
    }
    match header("anthropic-version") {
        Some("2023-06-01" | "2023-01-01") => {}
        Some(other) => {
            return Err(Refusal::invalid(format!(
                "anthropic-version: \"{other}\" is not a valid version"
            )));
        }
        None => return Err(Refusal::invalid("anthropic-version: header is required")),
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        Refusal::invalid(format!("The request body is not valid JSON: {error}"))
    })?;
    check_fields(&body)?;
    check_format(&body)?;
    let model = text(&body, "model");
    if model != MODEL {
        return Err(no_model(model));
    }
    Ok(Request {
        model: model.to_owned(),
        system: text(&body, "system").to_owned(),
        user: only_message(&body)?.to_owned(),
        user_agent: header("user-agent").unwrap_or_default().to_owned(),
        body,
    })
}

/// The answer to an unknown model.
pub(super) fn no_model(model: &str) -> Refusal {
    Refusal::new(404, "not_found_error", format!("model: {model}"))
}

/// The answer to a wrong key.
pub(super) fn wrong_key() -> Refusal {
    Refusal::new(401, "authentication_error", "invalid x-api-key")
}

fn check_fields(body: &Value) -> Result<(), Refusal> {
    let Some(fields) = body.as_object() else {
        return Err(Refusal::invalid("Input should be an object"));
    };
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(Refusal::invalid(format!(
            "{name}: Extra inputs are not permitted"
        )));
    }
    for name in ["model", "max_tokens", "messages"] {
        if !fields.contains_key(name) {
            return Err(Refusal::invalid(format!("{name}: Field required")));
        }
    }
    if body
        .get("max_tokens")
        .and_then(Value::as_u64)
        .is_none_or(|tokens| tokens == 0)
    {
        return Err(Refusal::invalid(
            "max_tokens: Input should be greater than or equal to 1",
        ));
    }
    Ok(())
}

fn check_format(body: &Value) -> Result<(), Refusal> {
    let Some(format) = body.pointer("/output_config/format") else {
        return Ok(());
    };
    if text(format, "type") != "json_schema" {
        return Err(Refusal::invalid(
            "output_config.format.type: Input should be 'json_schema'",
        ));
    }
    schema::check(format.get("schema").unwrap_or(&Value::Null))
        .map_err(|problem| Refusal::invalid(format!("output_config.format.schema: {problem}")))
}

fn only_message(body: &Value) -> Result<&str, Refusal> {
    let messages = body.get("messages").and_then(Value::as_array);
    let Some([message]) = messages.map(Vec::as_slice) else {
        return Err(Refusal::invalid("messages: one message is expected here"));
    };
    match text(message, "role") {
        "user" => {}
        other => {
            return Err(Refusal::invalid(format!(
                "messages.0.role: Unexpected role \"{other}\""
            )));
        }
    }
    match text(message, "content") {
        "" => Err(Refusal::invalid(
            "messages.0.content: text content blocks must be non-empty",
        )),
        content => Ok(content),
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
