//! Small servers that speak the protocols of language models, well or badly, as told. Must be as strict
//! about a request as the real ones, so that what passes here is understood there.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body, extract::State, http, response::Response, routing::any};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

mod anthropic;
mod openai;
mod play;
mod reply;
mod schema;

use reply::{Answer, Refusal};

/// The only key that a server lets in.
pub const KEY: &str = "sk-testkit-3f9a0c1d2e3f4a5b";

/// The only model that a server has.
pub const MODEL: &str = "detective-1";

/// Longest request read; a prompt is a few KiB.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// What a server speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// OpenAI chat completions.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
}

/// Gives the text that the model writes.
#[derive(Clone)]
pub struct Script(Arc<dyn Fn(&Request) -> String + Send + Sync>);

/// What a server does with a request that follows the protocol.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// The model writes the text.
    Answer(Script),
    /// The same, in several blocks or parts.
    Split(Script),
    /// The same, a few bytes at a time.
    Slow(Script),
    /// The model refuses, as the protocol marks it.
    Refuse,
    /// The text ends where the token limit is reached.
    CutOff,
    /// The model writes nothing.
    Empty,
    /// Status 200 with JSON that is not of the protocol.
    WrongSchema,
    /// Status 200 with what is no JSON.
    Garbage,
    /// Status 200, more bytes announced than sent.
    Truncated,
    /// Status 200 with a body of many megabytes.
    Huge,
    /// The request is read and never answered.
    Hang,
    /// The request is sent on to another address.
    Redirect(String),
    /// 401, whatever the key.
    Unauthorized,
    /// 404, whatever the model.
    ModelNotFound,
    /// 429, with `retry-after` in seconds where given.
    RateLimited(Option<u64>),
    /// 429 that will not pass by waiting.
    QuotaSpent,
    /// 500.
    ServerError,
    /// 529 as Anthropic has it, 503 elsewhere.
    Overloaded,
    /// An older server: it knows neither `response_format` nor `max_completion_tokens`.
    OldDialect(Script),
    /// One after the other, the last for good.
    Sequence(Vec<Self>),
}

/// A request that follows the protocol.
#[derive(Clone, Debug)]
pub struct Request {
    pub model: String,
    pub system: String,
    pub user: String,
    /// The whole body.
    pub body: Value,
    pub user_agent: String,
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    protocol: Protocol,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    behaviour: Behaviour,
    needs_key: bool,
    received: Mutex<Vec<Request>>,
    /// Requests of any kind, those that were refused too.
    seen: AtomicUsize,
}

impl Script {
    /// Writes what `script` gives for each request.
    pub fn new(script: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(script))
    }

    /// Writes the same text each time.
    pub fn text(text: &str) -> Self {
        let text = text.to_owned();
        Self::new(move |_| text.clone())
    }

    /// Writes the JSON that Inquest asks for: each sentence with the evidence it cites.
    pub fn sentences(sentences: &[(&str, &[&str])]) -> Self {
        let sentences: Vec<Value> = sentences
            .iter()
            .map(|(text, evidence)| serde_json::json!({"text": text, "evidence": evidence}))
            .collect();
        Self::text(&serde_json::json!({"sentences": sentences}).to_string())
    }

    fn write(&self, request: &Request) -> String {
        (self.0)(request)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Server {
    /// Starts a server on a free port of this machine that asks for [`KEY`].
    pub async fn start(protocol: Protocol, behaviour: Behaviour) -> io::Result<Self> {
        Self::serve(protocol, behaviour, true).await
    }

    /// Starts a server that asks for no key, as those on one's own machine do.
    pub async fn start_without_key(protocol: Protocol, behaviour: Behaviour) -> io::Result<Self> {
        Self::serve(protocol, behaviour, false).await
    }

    async fn serve(protocol: Protocol, behaviour: Behaviour, needs_key: bool) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            protocol,
            behaviour,
            needs_key,
            received: Mutex::default(),
            seen: AtomicUsize::new(0),
        });
        let app = Router::new()
            .fallback(any(handle))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            // Ends with the runtime or by `Drop`; an error then has nobody to go to.
            drop(axum::serve(listener, app).await);
        });
        Ok(Self {
            address,
            protocol,
            shared,
            task,
        })
    }

    /// What to configure as the provider's `base_url`.
    pub fn base_url(&self) -> String {
        match self.protocol {
            Protocol::OpenAi => format!("http://{}/v1", self.address),
            Protocol::Anthropic => format!("http://{}", self.address),
        }
    }

    /// How many requests came, those that did not follow the protocol among them.
    pub fn seen(&self) -> usize {
        self.shared.seen.load(Ordering::Relaxed)
    }

    /// The requests that followed the protocol, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.shared
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: http::Request<Body>) -> Response {
    shared.seen.fetch_add(1, Ordering::Relaxed);
    match admit(&shared, request).await {
        Ok((request, behaviour)) => play::play(&shared, behaviour, &request).await,
        Err(refusal) => reply::refusal(shared.protocol, &refusal),
    }
}

/// Reads and checks a request; gives what to do with it.
async fn admit(
    shared: &Shared,
    request: http::Request<Body>,
) -> Result<(Request, Behaviour), Refusal> {
    let (head, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, MAX_REQUEST_BYTES)
        .await
        .map_err(|error| Refusal::invalid(format!("failed to read the request: {error}")))?;
    let request = match shared.protocol {
        Protocol::OpenAi => openai::read(&head, &bytes, shared.needs_key)?,
        Protocol::Anthropic => anthropic::read(&head, &bytes, shared.needs_key)?,
    };
    let mut received = shared
        .received
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let turn = received.len();
    received.push(request.clone());
    Ok((request, turn_of(&shared.behaviour, turn)))
}

fn turn_of(behaviour: &Behaviour, turn: usize) -> Behaviour {
    match behaviour {
        Behaviour::Sequence(steps) => {
            let last = steps.len().saturating_sub(1);
            steps
                .get(turn.min(last))
                .cloned()
                .unwrap_or(Behaviour::Empty)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use super::*;

    /// Sends one raw request; gives the whole answer.
    async fn ask(server: &Server, path: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// What each protocol refuses: path, headers, body, and the start and a part of the answer.
    type Case<'c> = (&'c str, String, &'c str, &'c str, &'c str);

    async fn check(protocol: Protocol, cases: &[Case<'_>]) {
        let server = Server::start(protocol, Behaviour::Answer(Script::text("hello")))
            .await
            .unwrap();
        for (path, headers, body, status, part) in cases {
            let answer = ask(&server, path, headers, body).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{path} {body}: {answer}"
            );
            assert!(answer.contains(part), "{path} {body}: {answer}");
        }
    }

    #[tokio::test]
    async fn is_as_strict_as_openai() {
        let key = format!("authorization: Bearer {KEY}\r\n");
        let path = "/v1/chat/completions";
        let good = r#"{"model":"detective-1","messages":[{"role":"user","content":"hi"}]}"#;
        let open_schema = r#"{"model":"detective-1","messages":[{"role":"user","content":"hi"}],
            "response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object"}}}}"#;
        let cases: Vec<Case<'_>> = vec![
            (path, key.clone(), good, "200", "\"content\":\"hello\""),
            ("/chat/completions", key.clone(), good, "404", "Invalid URL"),
            (path, String::new(), good, "401", "provide an API key"),
            (
                path,
                "authorization: Bearer sk-wrong-key\r\n".to_owned(),
                good,
                "401",
                "invalid_api_key",
            ),
            (path, key.clone(), "{", "400", "parse the JSON body"),
            (
                path,
                key.clone(),
                r#"{"messages":[]}"#,
                "400",
                "model parameter",
            ),
            (
                path,
                key.clone(),
                r#"{"model":"detective-1","messages":[]}"#,
                "400",
                "messages",
            ),
            (
                path,
                key.clone(),
                r#"{"model":"m","max_token":1}"#,
                "400",
                "max_token",
            ),
            (
                path,
                key.clone(),
                open_schema,
                "400",
                "additionalProperties",
            ),
            (
                path,
                key,
                r#"{"model":"gone","messages":[{"role":"user","content":"hi"}]}"#,
                "404",
                "model_not_found",
            ),
        ];
        check(Protocol::OpenAi, &cases).await;
    }

    #[tokio::test]
    async fn is_as_strict_as_anthropic() {
        let version = "anthropic-version: 2023-06-01\r\n";
        let both = format!("x-api-key: {KEY}\r\n{version}");
        let path = "/v1/messages";
        let good =
            r#"{"model":"detective-1","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
        let system_role = r#"{"model":"detective-1","max_tokens":9,"messages":[{"role":"system","content":"hi"}]}"#;
        let unknown_model = good.replace("detective-1", "gone");
        let old_field =
            r#"{"model":"detective-1","max_tokens":9,"messages":[],"output_format":{}}"#;
        let cases: Vec<Case<'_>> = vec![
            (path, both.clone(), good, "200", "\"text\":\"hello\""),
            ("/messages", both.clone(), good, "404", "not_found_error"),
            (
                path,
                version.to_owned(),
                good,
                "401",
                "x-api-key header is required",
            ),
            (
                path,
                format!("x-api-key: no\r\n{version}"),
                good,
                "401",
                "authentication_error",
            ),
            (
                path,
                format!("x-api-key: {KEY}\r\n"),
                good,
                "400",
                "anthropic-version",
            ),
            (
                path,
                both.clone(),
                r#"{"model":"detective-1","messages":[]}"#,
                "400",
                "max_tokens: Field required",
            ),
            (path, both.clone(), system_role, "400", "Unexpected role"),
            (
                path,
                both.clone(),
                old_field,
                "400",
                "output_format: Extra inputs",
            ),
            (path, both, &unknown_model, "404", "model: gone"),
        ];
        check(Protocol::Anthropic, &cases).await;
    }
}
