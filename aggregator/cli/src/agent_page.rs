//! Talks to an agent's own page: the one thing that is asked of an agent rather than of the aggregator. Must turn every
//! way in which that can fail into a [`Failure`] that says what to do next.

use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::Deserialize;

use crate::args::DEFAULT_AGENT;
use crate::client::{AddressOption, build, innermost, parse_base};
use crate::failure::{Exit, Failure};

const AGENT: AddressOption = AddressOption {
    flag: "--agent",
    default: DEFAULT_AGENT,
};

/// An agent, as the command line reaches it.
pub(crate) struct AgentPage {
    http: reqwest::Client,
    base: Url,
    timeout: Duration,
}

/// A profile is being made.
#[derive(Debug, Deserialize)]
pub(crate) struct Begun {
    /// The agent's node.
    pub node: String,
    /// The path of what is watched.
    pub cgroup: String,
}

impl AgentPage {
    /// Prepares to ask the agent at `address`; connects only when something is asked.
    pub(crate) fn try_new(address: &str, timeout: Duration) -> Result<Self, Failure> {
        let base = parse_base(address, AGENT)?;
        let http = build(&base).map_err(|error| {
            Failure::new(
                "cannot prepare a connection to the agent",
                innermost(&error),
                "check the TLS certificates of this machine, or use an http:// address",
            )
        })?;
        Ok(Self {
            http,
            base,
            timeout,
        })
    }

    /// Has the agent watch `target` for some seconds.
    pub(crate) async fn profile(&self, target: &str, seconds: u64) -> Result<Begun, Failure> {
        let address = self.base.as_str().trim_end_matches('/');
        let unreachable = |error: reqwest::Error| {
            Failure::new(
                format!("cannot reach the agent at {address}"),
                innermost(&error),
                "is it the agent of the node where the target runs? its page is on loopback: run this there, or forward a \
                 port and set --agent",
            )
        };
        let request = self
            .http
            .post(format!("{address}/profile"))
            .query(&[("target", target), ("seconds", &seconds.to_string())])
            .timeout(self.timeout);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status == StatusCode::ACCEPTED {
            return response.json().await.map_err(unreachable);
        }
        let why = response.text().await.map_err(unreachable)?;
        Err(refusal(target, status, why.trim_end()))
    }
}

fn refusal(target: &str, status: StatusCode, why: &str) -> Failure {
    let (exit, next) = match status {
        StatusCode::NOT_FOUND | StatusCode::CONFLICT => (
            Exit::NotFound,
            "give a cgroup's path as `inquest signal list -o wide` shows it, or a container's id, and ask the agent of \
             its node",
        ),
        StatusCode::BAD_REQUEST => (Exit::Usage, "choose another --for"),
        _ => (
            Exit::Error,
            "see what the agent says about itself: `inquest doctor`",
        ),
    };
    let what = format!("no profile of `{target}`");
    let why = if why.is_empty() {
        format!("the agent answered {status}")
    } else {
        why.to_owned()
    };
    Failure::new(what, why, next).exit(exit)
}
