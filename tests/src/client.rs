//! The REST interface as the harnesses ask it. Must show what was answered, and judge nothing.

use std::sync::Once;
use std::time::Duration;

use anyhow::Context as _;
use inquest_api::node::Node;
use inquest_api::{Incident, List, Report};
use inquest_proto::v1;
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest wait for an answer, above the longest long poll that is asked for.
const ANSWER_DEADLINE: Duration = Duration::from_secs(90);
/// Items per page; the most that the aggregator gives.
const PAGE: &str = "1000";

/// Talks to one aggregator over a connection that is kept.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// Prepares to talk to an aggregator, for example `http://127.0.0.1:7700`; connects to nothing.
    pub fn new(base: impl Into<String>) -> anyhow::Result<Self> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Fails when a provider is installed already, which is all that is wanted.
            drop(rustls::crypto::ring::default_provider().install_default());
        });
        let http = reqwest::Client::builder()
            .timeout(ANSWER_DEADLINE)
            .no_proxy()
            .build()
            .context("failed to prepare an HTTP client")?;
        Ok(Self {
            base: base.into(),
            http,
        })
    }

    /// Where the aggregator is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether it (or any daemon of ours) is ready.
    pub async fn is_ready(&self) -> bool {
        let answer = self.send("/readyz", &[]).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Any object, as JSON.
    pub async fn json(&self, path: &str) -> anyhow::Result<Value> {
        self.get(path, &[]).await
    }

    /// The nodes that ever reported.
    pub async fn nodes(&self) -> anyhow::Result<Vec<Node>> {
        let list: List<Node> = self.get("/api/v1/nodes", &[]).await?;
        Ok(list.items)
    }

    /// What `inquest why TARGET` is given; `None` while no incident is about the target.
    pub async fn why(&self, target: &str) -> anyhow::Result<Option<Report>> {
        let answer = self.send("/api/v1/why", &[("target", target)]).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        read(answer).await.map(Some)
    }

    /// Asks once, and lets the aggregator wait until there is an incident about the target.
    pub async fn first_incident(
        &self,
        target: &str,
        longest: Duration,
    ) -> anyhow::Result<Option<Incident>> {
        let seconds = longest.as_secs().to_string();
        let query = [("target", target), ("wait", &seconds)];
        let list: List<Incident> = self.get("/api/v1/incidents", &query).await?;
        Ok(list.items.into_iter().next())
    }

    /// All incidents, newest first.
    pub async fn incidents(&self) -> anyhow::Result<Vec<Incident>> {
        self.pages("/api/v1/incidents", &[]).await
    }

    /// All stored signals that match, newest first.
    pub async fn signals(&self, filter: &[(&str, &str)]) -> anyhow::Result<Vec<v1::Signal>> {
        let items: Vec<Value> = self.pages("/api/v1/signals", filter).await?;
        let signals = items.into_iter().map(inquest_api::signal::from_json);
        signals
            .collect::<Result<_, _>>()
            .context("failed to read a signal")
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &[(&str, &str)],
    ) -> anyhow::Result<Vec<T>> {
        let mut all = Vec::new();
        let mut token = None::<String>;
        loop {
            let mut query = vec![("limit", PAGE)];
            query.extend_from_slice(filter);
            if let Some(token) = &token {
                query.push(("continue", token));
            }
            let page: List<T> = self.get(path, &query).await?;
            all.extend(page.items);
            token = page.metadata.continue_token;
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<T> {
        read(self.send(path, query).await?).await
    }

    async fn send(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Response> {
        let url = format!("{}{path}", self.base);
        let request = self.http.get(&url).query(query);
        request
            .send()
            .await
            .with_context(|| format!("failed to ask {url}"))
    }
}

async fn read<T: DeserializeOwned>(answer: Response) -> anyhow::Result<T> {
    let (status, url) = (answer.status(), answer.url().clone());
    let body = answer.bytes().await?;
    anyhow::ensure!(
        status.is_success(),
        "{url} answered {status}: {}",
        String::from_utf8_lossy(&body)
    );
    serde_json::from_slice(&body).with_context(|| format!("failed to read the answer of {url}"))
}
