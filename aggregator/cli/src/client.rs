//! Talks to the aggregator's REST API. Must turn every way in which that can fail into a
//! [`Failure`] that says what to do next.

use std::time::Duration;

use inquest_api::Problem;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode, Url};
use serde::de::DeserializeOwned;

use crate::args::{DEFAULT_AGGREGATOR, Global};
use crate::failure::{Exit, Failure};

/// Largest answer read: a full page of 1,000 incidents is far below it.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// The aggregator, as the command line reaches it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    timeout: Duration,
}

impl Client {
    /// Prepares a client; connects only when something is asked.
    pub(crate) fn try_new(global: &Global) -> Result<Self, Failure> {
        let base = parse_base(&global.aggregator, AGGREGATOR)?;
        let http = build(&base).map_err(|error| {
            Failure::new(
                "cannot prepare a connection to the aggregator",
                innermost(&error),
                "check the TLS certificates of this machine, or use an http:// address",
            )
        })?;
        Ok(Self {
            http,
            base,
            timeout: global.request_timeout.0,
        })
    }

    /// The aggregator's address as messages give it.
    pub(crate) fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Asks for one object below `/api/v1`; `path` is given word by word, unescaped.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Failure> {
        self.get_within(path, query, Duration::ZERO).await
    }

    /// Asks as [`Client::get`] does, but lets the aggregator hold the answer back for `patience`.
    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        patience: Duration,
    ) -> Result<T, Failure> {
        let request = self
            .http
            .get(self.url(path))
            .query(query)
            .timeout(self.timeout.saturating_add(patience));
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        let is_json = is_json(&response);
        let body = self.read(response).await?;
        if !status.is_success() {
            return Err(self.refusal(status, &body));
        }
        if !is_json {
            return Err(self.stranger("the answer is not JSON"));
        }
        serde_json::from_slice(&body).map_err(|error| self.stranger(&error.to_string()))
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only an address that cannot be a base has no segments, and parse_base refuses it.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        url
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(self.stranger("the answer is larger than 64 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let address = self.address();
        if error.is_timeout() {
            let seconds = self.timeout.as_secs_f64();
            return Failure::new(
                format!("the aggregator at {address} does not answer"),
                format!("no answer within {seconds} s"),
                "wait longer with --request-timeout, or look at the aggregator's log",
            );
        }
        Failure::new(
            format!("cannot reach the aggregator at {address}"),
            innermost(error),
            "is the aggregator running? start it with `cargo xtask up` or set --aggregator",
        )
    }

    fn stranger(&self, why: &str) -> Failure {
        Failure::new(
            format!("cannot understand the answer of {}", self.address()),
            why,
            "does an Inquest aggregator answer there? compare versions with `inquest version`",
        )
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Failure {
        let exit = match status {
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Exit::NotFound
            }
            _ => Exit::Error,
        };
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
            let why = format!("it answered {status}");
            return self.stranger(&why).exit(exit);
        };
        let next = match status {
            StatusCode::NOT_FOUND => "list what there is with `inquest incident list`".to_owned(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "ask who runs the aggregator for access to it".to_owned()
            }
            _ => format!(
                "look for request {} in the aggregator's log",
                problem.request_id
            ),
        };
        let what = match exit {
            Exit::NotFound => problem.title.to_lowercase(),
            _ => format!("the aggregator refused: {}", problem.title.to_lowercase()),
        };
        Failure::new(what, problem.detail, next).exit(exit)
    }
}

/// Makes the client for an address.
pub(crate) fn build(base: &Url) -> reqwest::Result<reqwest::Client> {
    // Fails only when a provider is already installed, which then serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("inquest/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none());
    if base.scheme() == "http" {
        // Spares reading the machine's certificates, and works where there are none.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The option that an address comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressOption {
    pub flag: &'static str,
    pub default: &'static str,
}

const AGGREGATOR: AddressOption = AddressOption {
    flag: "--aggregator",
    default: DEFAULT_AGGREGATOR,
};

/// Reads an address; one without a scheme is http, an empty one, as of an empty variable, the default.
pub(crate) fn parse_base(text: &str, option: AddressOption) -> Result<Url, Failure> {
    let AddressOption { flag, default } = option;
    let text = if text.is_empty() { default } else { text };
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let refuse = |why: String| {
        let what = format!("{flag} is not an address: `{text}`");
        Failure::new(what, why, format!("give one such as {default}")).exit(Exit::Usage)
    };
    let url = Url::parse(&full).map_err(|error| refuse(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(format!("{} is not spoken here", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let what = format!("{flag} holds a user name or password");
        let why = "other users of this machine can read command lines";
        return Err(Failure::new(what, why, "leave it out").exit(Exit::Usage));
    }
    Ok(url)
}

fn is_json(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"))
}

/// The last cause of an error: the one a person can act on.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_lack_its_scheme_or_be_left_out() {
        for text in [
            "",
            "10.0.0.7:7700",
            "http://10.0.0.7:7700",
            "localhost:7700/prefix/",
        ] {
            parse_base(text, AGGREGATOR).unwrap();
        }
    }

    #[test]
    fn refuses_an_address_that_is_none_or_holds_a_secret() {
        for text in [
            "ftp://x",
            "http://",
            "http://user:secret@x",
            "http://user@x",
        ] {
            assert_eq!(
                parse_base(text, AGGREGATOR).unwrap_err().exit,
                Exit::Usage,
                "{text}"
            );
        }
        let failure = parse_base("http://user:secret@x", AGGREGATOR).unwrap_err();
        assert!(!format!("{failure:?}").contains("secret"));
    }

    #[test]
    fn escapes_what_a_target_may_hold() {
        let client = Client {
            http: build(&parse_base("x", AGGREGATOR).unwrap()).unwrap(),
            base: parse_base("http://x/prefix/", AGGREGATOR).unwrap(),
            timeout: Duration::from_secs(1),
        };
        let url = client.url(&["incidents", "a/../b?c"]);
        assert_eq!(
            url.as_str(),
            "http://x/prefix/api/v1/incidents/a%2F..%2Fb%3Fc"
        );
    }

    #[test]
    fn knows_loopback_addresses() {
        for (text, loopback) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("localhost", true),
            ("10.0.0.7", false),
            ("127.0.0.1.example.org", false),
        ] {
            assert_eq!(
                is_loopback(&parse_base(text, AGGREGATOR).unwrap()),
                loopback,
                "{text}"
            );
        }
    }
}
