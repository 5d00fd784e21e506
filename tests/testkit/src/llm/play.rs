//! Does with a good request what the server was told to. Must do it on the wire as the real thing would.

use std::{future, io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::Response,
};
use serde_json::Value;
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Answer, Behaviour, Protocol, Refusal, Request, Shared, anthropic, openai,
    reply::{self, Stop, json_response},
};

const HUGE_BYTES: usize = 8 << 20;
const SLOW_PIECES: usize = 20;
const SLOW_PAUSE: Duration = Duration::from_millis(5);

/// Answers, refuses, or does neither.
pub(super) async fn play(shared: &Shared, behaviour: Behaviour, request: &Request) -> Response {
    let protocol = shared.protocol;
    let says = |texts: Vec<String>, stop| reply::answer(protocol, &Answer { texts, stop });
    let whole = |body: Value| json_response(200, body.to_string());
    match behaviour {
        Behaviour::Answer(script) => whole(says(vec![script.write(request)], Stop::Done)),
        Behaviour::Split(script) => whole(says(halves(&script.write(request)), Stop::Done)),
        Behaviour::Slow(script) => slow(&says(vec![script.write(request)], Stop::Done)),
        Behaviour::Refuse => whole(says(vec![String::new()], Stop::Refused)),
        Behaviour::CutOff => whole(says(
            vec!["{\"sentences\":[{\"te".to_owned()],
            Stop::TokenLimit,
        )),
        Behaviour::Empty => whole(says(vec![String::new()], Stop::Done)),
        Behaviour::WrongSchema => json_response(200, "{\"result\":\"ok\"}"),
        Behaviour::Garbage => json_response(200, "<html>\u{0}\u{1b}[31mnot what you think"),
        Behaviour::Truncated => truncated(&says(vec!["{\"sentences\":[]}".to_owned()], Stop::Done)),
        Behaviour::Huge => json_response(200, vec![b' '; HUGE_BYTES]),
        Behaviour::Hang => future::pending().await,
        Behaviour::Redirect(to) => redirect(&to),
        Behaviour::OldDialect(script) => match old_dialect(request) {
            Some(refusal) => reply::refusal(protocol, &refusal),
            None => whole(says(vec![script.write(request)], Stop::Done)),
        },
        Behaviour::Sequence(_) => json_response(500, "a sequence cannot hold a sequence"),
        error => reply::refusal(protocol, &refusal(protocol, &error, request)),
    }
}

/// The protocol's own error for each behaviour that is one.
fn refusal(protocol: Protocol, behaviour: &Behaviour, request: &Request) -> Refusal {
    let is_openai = protocol == Protocol::OpenAi;
    match behaviour {
        Behaviour::Unauthorized if is_openai => openai::wrong_key(super::KEY),
        Behaviour::Unauthorized => anthropic::wrong_key(),
        Behaviour::ModelNotFound if is_openai => openai::no_model(&request.model),
        Behaviour::ModelNotFound => anthropic::no_model(&request.model),
        Behaviour::RateLimited(retry_after) => Refusal {
            code: Some("rate_limit_exceeded"),
            retry_after: *retry_after,
            ..Refusal::new(
                429,
                "rate_limit_error",
                "Rate limit reached for requests per minute.",
            )
        },
        Behaviour::QuotaSpent => Refusal {
            code: Some("insufficient_quota"),
            ..Refusal::new(429, "rate_limit_error", "You exceeded your current quota.")
        },
        Behaviour::Overloaded if is_openai => Refusal::new(
            503,
            "overloaded_error",
            "The engine is currently overloaded.",
        ),
        Behaviour::Overloaded => Refusal::new(529, "overloaded_error", "Overloaded"),
        _ => Refusal::new(500, "api_error", "Internal server error"),
    }
}

/// Refuses one unknown field at a time, as servers do.
fn old_dialect(request: &Request) -> Option<Refusal> {
    ["response_format", "max_completion_tokens"]
        .into_iter()
        .find(|field| request.body.get(field).is_some())
        .map(|field| {
            Refusal::invalid(format!(
                "Unsupported parameter: '{field}' is not supported with this model."
            ))
        })
}

fn halves(text: &str) -> Vec<String> {
    let (start, end) = text.split_at(text.floor_char_boundary(text.len() / 2));
    vec![start.to_owned(), end.to_owned()]
}

/// Sends the body piece by piece.
fn slow(body: &Value) -> Response {
    let text = body.to_string();
    let (pieces, received) = mpsc::channel::<io::Result<Bytes>>(1);
    tokio::spawn(async move {
        for piece in text.as_bytes().chunks(text.len() / SLOW_PIECES + 1) {
            sleep(SLOW_PAUSE).await;
            if pieces
                .send(Ok(Bytes::copy_from_slice(piece)))
                .await
                .is_err()
            {
                break;
            }
        }
    });
    json_response(200, Body::from_stream(ReceiverStream::new(received)))
}

/// Announces the whole body, sends half of it and closes the connection.
fn truncated(body: &Value) -> Response {
    let text = body.to_string();
    let half = text
        .as_bytes()
        .iter()
        .take(text.len() / 2)
        .copied()
        .collect::<Vec<u8>>();
    let pieces = [
        Ok(Bytes::from(half)),
        Err(io::Error::other("the connection breaks here")),
    ];
    let mut response = json_response(200, Body::from_stream(tokio_stream::iter(pieces)));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, text.len().into());
    response
}

fn redirect(to: &str) -> Response {
    let mut response = json_response(307, Body::empty());
    if let Ok(location) = header::HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
