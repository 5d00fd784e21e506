//! `inquest version`: this program and the aggregator, and whether they fit. Must work without an
//! aggregator as far as that goes.

use inquest_api::API_VERSION;
use inquest_api::status::Status;
use serde::Serialize;

use super::Outcome;
use crate::client::Client;
use crate::failure::Exit;
use crate::output::{Output, Page, View};

/// The version of this program.
pub(crate) const CLIENT: &str = env!("CARGO_PKG_VERSION");

/// Both versions; `server` is absent when it was not asked or did not answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    api_version: &'static str,
    kind: &'static str,
    client: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Version>,
}

#[derive(Serialize)]
struct Version {
    version: String,
}

impl Versions {
    fn new(server: Option<String>) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "Version",
            client: Version {
                version: CLIENT.to_owned(),
            },
            server: server.map(|version| Version { version }),
        }
    }
}

impl View for Versions {
    fn text(&self, _page: &Page) -> String {
        let client = format!("Client: {}\n", self.client.version);
        match &self.server {
            Some(server) => format!("{client}Server: {}\n", server.version),
            None => client,
        }
    }

    fn names(&self) -> Vec<String> {
        let server = self.server.iter();
        let server = server.map(|server| format!("server/{}", server.version));
        std::iter::once(format!("client/{}", self.client.version))
            .chain(server)
            .collect()
    }
}

/// Prints the version of this program alone.
pub(crate) fn client(output: &Output) -> Outcome {
    output.show(&Versions::new(None), jiff::Timestamp::now())?;
    Ok(Exit::Ok)
}

/// Prints both; without an answer the client's, and then the error.
pub(crate) async fn both(client: &Client, output: &Output) -> Outcome {
    let status: Result<Status, _> = client.get(&["status"], &[]).await;
    let server = status.as_ref().ok().map(|status| status.version.clone());
    output.show(&Versions::new(server), jiff::Timestamp::now())?;
    let status = status?;
    if let Some(warning) = skew(CLIENT, &status.version) {
        output.note(&format!("warning: {warning}"));
    }
    Ok(Exit::Ok)
}

/// What to say when the two versions are more than one minor version apart.
pub(crate) fn skew(client: &str, server: &str) -> Option<String> {
    let apart = match (major_minor(client), major_minor(server)) {
        (Some((major, minor)), Some((other, other_minor))) => {
            major != other || minor.abs_diff(other_minor) > 1
        }
        _ => client != server,
    };
    apart.then(|| format!("client {client} and aggregator {server} are too far apart"))
}

fn major_minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_minor_version_apart_is_fine() {
        for (client, server, fine) in [
            ("0.1.0", "0.1.9", true),
            ("0.1.0", "0.2.0", true),
            ("0.3.0", "0.1.0", false),
            ("1.0.0", "0.9.0", false),
            ("0.1.0", "unknown", false),
        ] {
            assert_eq!(skew(client, server).is_none(), fine, "{client} {server}");
        }
    }
}
