//! One call to the configured provider. Must give errors that hold neither key nor address.

use std::{path::PathBuf, time::Duration};

use super::{
    anthropic::Anthropic,
    config::{Protocol, ProviderConfig},
    http::{Http, HttpError},
    key::{Key, KeyError},
    openai::OpenAi,
    prompt::Prompt,
    reply::{self, Claim, ReplyError},
};

/// Why no analyzer could be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to set up the connection to the model's provider (an https address needs this machine's CA certificates)"
)]
pub struct StartError(#[source] pub(super) reqwest::Error);

/// Why a call gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the provider did not answer within {} s", after.as_secs_f64())]
    Timeout { after: Duration },
    #[error("failed to talk to the provider")]
    Http(#[from] HttpError),
    /// `message` is the provider's own, cut short and without the key.
    #[error("the provider answered {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Status {
        status: u16,
        message: String,
        retry_after: Option<Duration>,
        /// The provider says that asking again is of no use, whatever the status.
        for_good: bool,
    },
    #[error("the provider's answer does not follow its protocol")]
    NotTheProtocol,
    #[error("the model refused to answer")]
    Refusal,
    #[error("the answer was cut off (configuration key `analysis.max_output_tokens`)")]
    CutOff,
    #[error(transparent)]
    Reply(#[from] ReplyError),
}

impl AskError {
    /// Asking again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Status {
                status, for_good, ..
            } => !for_good && matches!(status, 408 | 429 | 500..=599),
            _ => false,
        }
    }

    /// How long the provider asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The error as metrics spell it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Timeout { .. } => "timeout",
            Self::Http(_) => "connection",
            Self::Status {
                status: 401 | 403, ..
            } => "denied",
            Self::Status { status: 429, .. } => "rate_limited",
            Self::Status {
                status: 500..=599, ..
            } => "server_error",
            Self::Status { .. } => "rejected",
            Self::NotTheProtocol => "protocol",
            Self::Refusal => "refusal",
            Self::CutOff => "cut_off",
            Self::Reply(_) => "reply",
        }
    }
}

/// The configured provider.
#[derive(Debug)]
pub(crate) struct Provider {
    adapter: Adapter,
    key_file: Option<PathBuf>,
    timeout: Duration,
}

#[derive(Debug)]
enum Adapter {
    OpenAi(OpenAi),
    Anthropic(Anthropic),
}

impl Provider {
    /// Makes a provider; connects to nothing yet.
    pub(crate) fn new(config: &ProviderConfig) -> Result<Self, StartError> {
        let http = Http::new(&config.base_url)?;
        let adapter = match config.protocol {
            Protocol::OpenAi => Adapter::OpenAi(OpenAi::new(http, config)),
            Protocol::Anthropic => Adapter::Anthropic(Anthropic::new(http, config)),
        };
        Ok(Self {
            adapter,
            key_file: config.key_file.clone(),
            timeout: config.timeout,
        })
    }

    /// Asks once and reads the answer, unchecked.
    pub(crate) async fn ask(&self, prompt: &Prompt) -> Result<Vec<Claim>, AskError> {
        let key = self.key()?;
        let call = async {
            match &self.adapter {
                Adapter::OpenAi(adapter) => adapter.ask(prompt, key.as_ref()).await,
                Adapter::Anthropic(adapter) => adapter.ask(prompt, key.as_ref()).await,
            }
        };
        let after = self.timeout;
        let text = tokio::time::timeout(after, call)
            .await
            .map_err(|_elapsed| AskError::Timeout { after })??;
        Ok(reply::read(&text)?)
    }

    /// Whether the key, if one is needed, can be read now.
    pub(crate) fn check_key(&self) -> Result<(), KeyError> {
        self.key().map(drop)
    }

    fn key(&self) -> Result<Option<Key>, KeyError> {
        self.key_file.as_deref().map(Key::read).transpose()
    }
}
