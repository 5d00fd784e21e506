//! `inquest doctor`: checks the installation from the client's end, each finding with its next
//! step. Must change nothing.

use inquest_api::API_VERSION;
use inquest_api::List;
use inquest_api::node::Node;
use inquest_api::status::Status;
use serde::Serialize;

use self::checks::Check;
use super::{Outcome, node};
use crate::client::Client;
use crate::failure::Exit;
use crate::output::table::{Column, Table, column};
use crate::output::{Output, Page, View};

mod checks;

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Ok,
    Warn,
    Fail,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// All checks, in the order in which a person should look at them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Diagnosis {
    api_version: &'static str,
    kind: &'static str,
    checks: Vec<Check>,
}

const COLUMNS: [Column; 3] = [column("RESULT"), column("CHECK"), column("DETAIL")];

impl View for Diagnosis {
    fn text(&self, page: &Page) -> String {
        let mut table = Table::new(&COLUMNS);
        for check in &self.checks {
            table.row([
                check.verdict.as_str().to_owned(),
                check.name.clone(),
                check.detail.clone(),
            ]);
        }
        let steps: Vec<&str> = self.next_steps().collect();
        if steps.is_empty() {
            return table.render(page);
        }
        format!(
            "{}\nWhat to do:\n- {}\n",
            table.render(page),
            steps.join("\n- ")
        )
    }

    fn names(&self) -> Vec<String> {
        let names = self.checks.iter();
        names.map(|check| format!("check/{}", check.name)).collect()
    }
}

impl Diagnosis {
    /// Each next step once, those of failures first.
    fn next_steps(&self) -> impl Iterator<Item = &str> {
        let of = |verdict| {
            let checks = self.checks.iter().filter(move |c| c.verdict == verdict);
            checks.filter_map(|check| check.next.as_deref())
        };
        let mut seen = Vec::new();
        let steps = of(Verdict::Fail).chain(of(Verdict::Warn));
        steps.filter(move |step| {
            let new = !seen.contains(step);
            seen.push(step);
            new
        })
    }
}

pub(crate) async fn run(client: &Client, output: &Output) -> Outcome {
    let now = jiff::Timestamp::now();
    let checks = match client.get::<Status>(&["status"], &[]).await {
        Ok(status) => {
            let nodes: List<Node> = node::fetch(client).await?;
            checks::all(client.address(), &status, &nodes.items, now)
        }
        Err(failure) => vec![checks::unreachable(&failure)],
    };
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    let diagnosis = Diagnosis {
        api_version: API_VERSION,
        kind: "Diagnosis",
        checks,
    };
    output.show(&diagnosis, now)?;
    Ok(if failed { Exit::Error } else { Exit::Ok })
}
