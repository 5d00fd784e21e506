//! Small servers that speak the protocols of language models, well or badly, as told. Must be as strict
//! about a request as the real ones, so that what passes here is understood there.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
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
