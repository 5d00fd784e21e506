//! Reads a chat completions request as strictly as the real server. Must not answer it.

use axum::http::{Method, request::Parts};
use serde_json::Value;

use super::{KEY, MODEL, Request, reply::Refusal, schema};

/// What the real server knows and Inquest may send; it refuses what it does not know.
const FIELDS: &[&str] = &[
    "model",
    "messages",
    "response_format",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "stream",
];

/// Checks headers and body.
pub(super) fn read(head: &Parts, body: &[u8], needs_key: bool) -> Result<Request, Refusal> {
    if head.uri.path() != "/v1/chat/completions" || head.method != Method::POST {
        let message = format!("Invalid URL ({} {})", head.method, head.uri.path());
        return Err(Refusal::new(404, "not_found_error", message));
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    if needs_key {
        check_key(header("authorization"))?;
    }
    if header("content-type") != Some("application/json") {
        return Err(Refusal::invalid("you must provide a JSON content type"));
    }
    let body: Value = serde_json::from_slice(body).map_err(|error| {
        Refusal::invalid(format!(
            "We could not parse the JSON body of your request: {error}"
        ))
    })?;
    check_fields(&body)?;
    check_format(&body)?;
    let mut request = Request {
        model: text(&body, "model").to_owned(),
        system: String::new(),
        user: String::new(),
        user_agent: header("user-agent").unwrap_or_default().to_owned(),
        body: Value::Null,
    };
    for message in body
        .get("messages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        match text(message, "role") {
            "system" | "developer" => text(message, "content").clone_into(&mut request.system),
            "user" => text(message, "content").clone_into(&mut request.user),
            other => return Err(Refusal::invalid(format!("Invalid value: '{other}'."))),
        }
    }
    if request.user.is_empty() {
        return Err(Refusal::invalid("Missing required parameter: 'messages'."));
    }
    if request.model != MODEL {
        return Err(no_model(&request.model));
    }
    request.body = body;
    Ok(request)
}

/// The answer to an unknown model.
pub(super) fn no_model(model: &str) -> Refusal {
    Refusal {
        code: Some("model_not_found"),
        ..Refusal::new(
            404,
            "not_found_error",
            format!("The model `{model}` does not exist or you do not have access to it."),
        )
    }
}

/// The answer to a wrong key; like the real one, it quotes the key's ends.
pub(super) fn wrong_key(key: &str) -> Refusal {
    let (start, end) = (
        key.get(..8).unwrap_or(key),
        key.get(key.len().saturating_sub(4)..).unwrap_or(key),
    );
    Refusal {
        code: Some("invalid_api_key"),
        ..Refusal::new(
            401,
            "authentication_error",
            format!(
                "Incorrect API key provided: {start}****{end}. You can find your API key at the dashboard."
            ),
        )
    }
}

fn check_key(authorization: Option<&str>) -> Result<(), Refusal> {
    let Some(key) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
        return Err(Refusal::new(
            401,
            "authentication_error",
            "You didn't provide an API key.",
        ));
    };
    if key == KEY {
        Ok(())
    } else {
        Err(wrong_key(key))
    }
}

fn check_fields(body: &Value) -> Result<(), Refusal> {
    let Some(fields) = body.as_object() else {
        return Err(Refusal::invalid("the body must be a JSON object"));
    };
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(Refusal::invalid(format!(
            "Unrecognized request argument supplied: {name}"
        )));
    }
    if text(body, "model").is_empty() {
        return Err(Refusal::invalid("you must provide a model parameter"));
    }
    if fields.contains_key("max_tokens") && fields.contains_key("max_completion_tokens") {
        return Err(Refusal::invalid(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        ));
    }
    Ok(())
}

fn check_format(body: &Value) -> Result<(), Refusal> {
    let Some(format) = body.get("response_format") else {
        return Ok(());
    };
    let json_schema = format
        .get("json_schema")
        .filter(|_| text(format, "type") == "json_schema");
    let Some(json_schema) = json_schema else {
        return Err(Refusal::invalid(
            "Missing required parameter: 'response_format.json_schema'.",
        ));
    };
    let name = text(json_schema, "name");
    if name.is_empty() {
        return Err(Refusal::invalid(
            "Missing required parameter: 'response_format.json_schema.name'.",
        ));
    }
    schema::check(json_schema.get("schema").unwrap_or(&Value::Null)).map_err(|problem| {
        Refusal::invalid(format!(
            "Invalid schema for response_format '{name}': {problem}."
        ))
    })
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
