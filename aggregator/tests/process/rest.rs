//! A REST client that gives back what it was told.

use serde_json::Value;

use super::daemon::{Daemon, PATIENCE, poll};

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

fn client() -> reqwest::Client {
    // The first caller installs it, later ones find it installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .unwrap()
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

pub(super) async fn get(daemon: &Daemon, path: &str) -> Answer {
    get_with(daemon, path, &[]).await
}

pub(super) async fn get_with(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = client().get(format!("http://{}{path}", daemon.rest));
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    answer(request).await
}

pub(super) async fn put(daemon: &Daemon, path: &str, body: impl Into<reqwest::Body>) -> Answer {
    answer(
        client()
            .put(format!("http://{}{path}", daemon.rest))
            .body(body),
    )
    .await
}

/// Items of a list, following it to its end.
pub(super) async fn all_items(daemon: &Daemon, path: &str) -> Vec<Value> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let page = get(daemon, &format!("{path}{token}")).await.json();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["metadata"]["continue"].as_str() {
            Some(next) => token = format!("{separator}continue={next}"),
            None => return items,
        }
    }
}

/// Waits until a list has an item, and gives the first.
pub(super) async fn first_item(daemon: &Daemon, path: &str) -> Value {
    poll(path, async || {
        let page = get(daemon, path).await.json();
        page["items"].get(0).cloned()
    })
    .await
}

/// Ids of all stored signals, in the order in which they were stored.
pub(super) async fn signal_ids(daemon: &Daemon) -> Vec<String> {
    let mut ids: Vec<_> = all_items(daemon, "/api/v1/signals?limit=1000")
        .await
        .iter()
        .map(|signal| signal["id"].as_str().unwrap().to_owned())
        .collect();
    ids.reverse();
    ids
}
