//! Speaks the Messages protocol of Anthropic. Must name the protocol version it was written for.

use reqwest::Url;
use serde_json::{Value, json};

use super::{
    config::ProviderConfig,
    http::{self, Http},
    key::Key,
    prompt::{self, Prompt},
    provider::AskError,
};

const VERSION: &str = "2023-06-01";

/// Messages at one server.
#[derive(Debug)]
pub(crate) struct Anthropic {
    http: Http,
    url: Url,
    model: String,
    max_output_tokens: u32,
}

impl Anthropic {
    /// `http` must be made for the same configuration.
    pub(crate) fn new(http: Http, config: &ProviderConfig) -> Self {
        Self {
            http,
            url: config.endpoint("v1/messages"),
            model: config.model.clone(),
            max_output_tokens: config.max_output_tokens,
        }
    }

    /// Asks once; gives the text of the answer.
    pub(crate) async fn ask(&self, prompt: &Prompt, key: Option<&Key>) -> Result<String, AskError> {
        let body = json!({
            "model": self.model,
            "max_tokens": self.max_output_tokens,
            "system": prompt.system,
            "messages": [{"role": "user", "content": prompt.user}],
            "output_config": {"format": {"type": "json_schema", "schema": prompt::schema()}},
        });
        let mut request = self
            .http
            .post(&self.url, &body)
            .header("anthropic-version", VERSION);
        if let Some(value) = key.and_then(|key| http::secret(key.expose())) {
            request = request.header("x-api-key", value);
        }
        content(&http::send(request).await?.json(key)?)
    }
}

/// The text blocks of a message, one after the other; blocks of other types are not the answer.
fn content(body: &Value) -> Result<String, AskError> {
    let blocks = body
        .get("content")
        .and_then(Value::as_array)
        .ok_or(AskError::NotTheProtocol)?;
    match body.get("stop_reason").and_then(Value::as_str) {
        Some("refusal") => return Err(AskError::Refusal),
        Some("max_tokens" | "model_context_window_exceeded") => return Err(AskError::CutOff),
        _ => {}
    }
    let is_text = |block: &&Value| block.get("type").and_then(Value::as_str) == Some("text");
    let texts = blocks
        .iter()
        .filter(is_text)
        .filter_map(|block| block.get("text")?.as_str());
    Ok(texts.collect())
}
