//! Speaks the chat completions protocol of OpenAI, as most local and hosted servers do. Must not use
//! what only one server understands without a way to do without.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Url;
use serde_json::{Value, json};

use super::{
    config::ProviderConfig,
    http::{self, Http},
    key::Key,
    prompt::{self, Prompt},
    provider::AskError,
};

/// Chat completions at one server.
#[derive(Debug)]
pub(crate) struct OpenAi {
    http: Http,
    url: Url,
    model: String,
    max_output_tokens: u32,
    /// The server refused `response_format`; from then on the prompt alone asks for JSON.
    lacks_schema: AtomicBool,
    /// The server refused `max_completion_tokens`; from then on its older name is used.
    uses_max_tokens: AtomicBool,
}

impl OpenAi {
    /// `http` must be made for the same configuration.
    pub(crate) fn new(http: Http, config: &ProviderConfig) -> Self {
        Self {
            http,
            url: config.endpoint("chat/completions"),
            model: config.model.clone(),
            max_output_tokens: config.max_output_tokens,
            lacks_schema: AtomicBool::new(false),
            uses_max_tokens: AtomicBool::new(false),
        }
    }

    /// Asks once; gives the text of the answer.
    pub(crate) async fn ask(&self, prompt: &Prompt, key: Option<&Key>) -> Result<String, AskError> {
        loop {
            let error = match self.call(prompt, key).await {
                Ok(body) => return content(&body),
                Err(error) => error,
            };
            if !self.learn(&error) {
                return Err(error);
            }
        }
    }

    async fn call(&self, prompt: &Prompt, key: Option<&Key>) -> Result<Value, AskError> {
        let mut request = self.http.post(&self.url, &self.body(prompt));
        if let Some(value) = key.and_then(|key| http::secret(&format!("Bearer {}", key.expose()))) {
            request = request.header("authorization", value);
        }
        http::send(request).await?.json(key)
    }

    fn body(&self, prompt: &Prompt) -> Value {
        let limit = if self.uses_max_tokens.load(Ordering::Relaxed) {
            "max_tokens"
        } else {
            "max_completion_tokens"
        };
        let mut body = json!({
            "model": self.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            limit: self.max_output_tokens,
        });
        if let (false, Some(body)) = (
            self.lacks_schema.load(Ordering::Relaxed),
            body.as_object_mut(),
        ) {
            let format = json!({
                "type": "json_schema",
                "json_schema": {"name": "explanation", "strict": true, "schema": prompt::schema()},
            });
            body.insert("response_format".to_owned(), format);
        }
        body
    }

    /// Notes what a server of an older dialect refused; true when the next call will differ.
    fn learn(&self, error: &AskError) -> bool {
        let AskError::Status {
            status: 400 | 422,
            message,
            ..
        } = error
        else {
            return false;
        };
        let refused = |name: &str, flag: &AtomicBool| {
            message.contains(name) && !flag.swap(true, Ordering::Relaxed)
        };
        refused("response_format", &self.lacks_schema)
            || refused("max_completion_tokens", &self.uses_max_tokens)
    }
}

/// The text of the first choice.
fn content(body: &Value) -> Result<String, AskError> {
    let choice = body.pointer("/choices/0").ok_or(AskError::NotTheProtocol)?;
    let message = choice.get("message").ok_or(AskError::NotTheProtocol)?;
    let refused = message
        .get("refusal")
        .and_then(Value::as_str)
        .is_some_and(|refusal| !refusal.is_empty());
    match choice.get("finish_reason").and_then(Value::as_str) {
        Some("content_filter") => return Err(AskError::Refusal),
        _ if refused => return Err(AskError::Refusal),
        Some("length") => return Err(AskError::CutOff),
        _ => {}
    }
    match message.get("content") {
        Some(Value::String(text)) => Ok(text.clone()),
        // Some servers give parts, as requests may have them.
        Some(Value::Array(parts)) => Ok(parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect()),
        Some(Value::Null) | None => Ok(String::new()),
        Some(_) => Err(AskError::NotTheProtocol),
    }
}
