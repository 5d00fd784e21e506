//! Posts JSON and reads a bounded answer. Must follow no redirect and use no proxy from the
//! environment: facts go to the configured host or nowhere.

use std::{fmt::Write as _, time::Duration};

use reqwest::{Client, RequestBuilder, Response, Url, header, redirect};
use rustls::crypto::CryptoProvider;
use serde_json::Value;

use super::{
    key::Key,
    provider::{AskError, StartError},
    validate::is_invisible,
};

/// Longest answer read; a model's eight sentences need a hundredth of it.
const MAX_BODY_BYTES: usize = 256 << 10;
/// Longest part of a provider's own error message that is kept, in characters.
const MAX_MESSAGE_CHARS: usize = 200;
/// A host that does not take a connection within this will not take one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("inquest-aggregator/", env!("CARGO_PKG_VERSION"));

/// A connection to one provider.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    retry_after: Option<Duration>,
}

/// A call that gave no whole answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("failed to connect")]
    Connect(#[source] reqwest::Error),
    #[error("failed to send the request or to read the answer")]
    Transfer(#[source] reqwest::Error),
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
}

impl HttpError {
    /// Asking again may help.
    pub(crate) const fn is_transient(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::Transfer(_))
    }
}

impl From<reqwest::Error> for HttpError {
    /// Leaves the address out, which may name more than a log should hold.
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() {
            Self::Connect(error)
        } else {
            Self::Transfer(error)
        }
    }
}

impl Http {
    /// Makes a client for `base_url`; connects to nothing yet.
    pub(crate) fn new(base_url: &Url) -> Result<Self, StartError> {
        if CryptoProvider::get_default().is_none() {
            // Another thread may have been first; either way there is one now.
            drop(rustls::crypto::ring::default_provider().install_default());
        }
        let mut client = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            // Calls are minutes apart: a kept connection would mostly be a stale one.
            .pool_max_idle_per_host(0);
        if base_url.scheme() == "http" {
            // No certificates are needed, and a minimal image has none.
            client = client.tls_certs_only([]);
        }
        let client = client.build().map_err(StartError)?;
        Ok(Self { client })
    }

    /// Starts a request with a JSON body.
    pub(crate) fn post(&self, url: &Url, body: &Value) -> RequestBuilder {
        self.client.post(url.clone()).json(body)
    }
}

/// Sends a request and reads the answer up to the bound.
pub(crate) async fn send(request: RequestBuilder) -> Result<Answer, HttpError> {
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status().as_u16(),
        retry_after: retry_after(&response),
        body,
    })
}

/// A header value that logs and errors do not show.
pub(crate) fn secret(value: &str) -> Option<header::HeaderValue> {
    let mut value = header::HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Seconds only: the other form, a date, depends on two clocks.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?;
    value
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

impl Answer {
    /// The body as JSON when the status says success, else the provider's error.
    pub(crate) fn json(&self, key: Option<&Key>) -> Result<Value, AskError> {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        if (200..300).contains(&self.status) {
            return body.ok_or(AskError::NotTheProtocol);
        }
        let error = body.as_ref().and_then(|body| body.get("error"));
        let text = |name: &str| {
            let field = error.and_then(|error| error.get(name));
            field.and_then(Value::as_str).unwrap_or_default()
        };
        // Messages about a wrong key quote parts of it.
        let message = match self.status {
            401 | 403 => text("type").to_owned(),
            _ => text("message").to_owned(),
        };
        Err(AskError::Status {
            status: self.status,
            message: presentable(&message, key),
            retry_after: self.retry_after,
            for_good: text("code") == "insufficient_quota" || text("type") == "insufficient_quota",
        })
    }
}

/// One short line of a provider's message, without what a terminal would obey and without the key.
fn presentable(message: &str, key: Option<&Key>) -> String {
    let hidden = match key {
        Some(key) => message.replace(key.expose(), "(hidden)"),
        None => message.to_owned(),
    };
    let visible = hidden
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c });
    let mut visible = visible.filter(|c| !is_invisible(*c));
    let mut line: String = visible.by_ref().take(MAX_MESSAGE_CHARS).collect();
    if visible.next().is_some() {
        let written = write!(line, "...");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    line
}
