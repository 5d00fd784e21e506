//! Answers in the form of each protocol. Must hold no judgement of requests.

use axum::{body::Body, http::header, response::Response};
use serde_json::{Value, json};

use super::{MODEL, Protocol};

/// An error as both protocols know it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// `authentication_error`, `not_found_error`, ...: Anthropic's name.
    pub(super) kind: &'static str,
    /// OpenAI's `code`, where it has one.
    pub(super) code: Option<&'static str>,
    pub(super) message: String,
    pub(super) retry_after: Option<u64>,
}

/// What the model wrote and why it stopped.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// One text, or several that belong together.
    pub(super) texts: Vec<String>,
    pub(super) stop: Stop,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    Done,
    TokenLimit,
    Refused,
}

impl Refusal {
    pub(super) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            code: None,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The request does not follow the protocol.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    fn body(&self, protocol: Protocol) -> Value {
        match protocol {
            Protocol::OpenAi => json!({"error": {
                "message": self.message, "type": self.openai_type(), "param": null, "code": self.code,
            }}),
            Protocol::Anthropic => json!({
                "type": "error",
                "error": {"type": self.kind, "message": self.message},
                "request_id": "req_testkit",
            }),
        }
    }

    fn openai_type(&self) -> &'static str {
        match (self.code, self.status) {
            (Some("insufficient_quota"), _) => "insufficient_quota",
            (_, 429) => "requests",
            (_, 500..) => "server_error",
            _ => "invalid_request_error",
        }
    }
}

/// An error answer.
pub(super) fn refusal(protocol: Protocol, refusal: &Refusal) -> Response {
    let mut response = json_response(refusal.status, refusal.body(protocol).to_string());
    if let Some(seconds) = refusal.retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A good answer.
pub(super) fn answer(protocol: Protocol, answer: &Answer) -> Value {
    match protocol {
        Protocol::OpenAi => chat_completion(answer),
        Protocol::Anthropic => message(answer),
    }
}

/// A response with a JSON content type, whatever the body is.
pub(super) fn json_response(status: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status.try_into().unwrap_or_default();
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn chat_completion(answer: &Answer) -> Value {
    let parts = || -> Vec<Value> {
        answer
            .texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect()
    };
    let content = match answer.texts.as_slice() {
        _ if matches!(answer.stop, Stop::Refused) => Value::Null,
        [text] => json!(text),
        _ => json!(parts()),
    };
    let (finish_reason, refusal) = match answer.stop {
        Stop::Done => ("stop", Value::Null),
        Stop::TokenLimit => ("length", Value::Null),
        Stop::Refused => ("stop", json!("I'm sorry, I can't help with that.")),
    };
    json!({
        "id": "chatcmpl-testkit",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": MODEL,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": content, "refusal": refusal},
            "logprobs": null,
            "finish_reason": finish_reason,
        }],
        "usage": {"prompt_tokens": 900, "completion_tokens": 200, "total_tokens": 1100},
    })
}

fn message(answer: &Answer) -> Value {
    let stop_reason = match answer.stop {
        Stop::Done => "end_turn",
        Stop::TokenLimit => "max_tokens",
        Stop::Refused => "refusal",
    };
    let content: Vec<Value> = answer
        .texts
        .iter()
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    json!({
        "id": "msg_testkit",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": {"input_tokens": 900, "output_tokens": 200},
    })
}
