//! `inquest status`. Must judge nothing: that is `doctor`'s.

use inquest_api::status::{AnalysisStatus, NodeCounts, Status};

use super::{Outcome, exit_for};
use crate::age;
use crate::args::StatusArgs;
use crate::client::Client;
use crate::output::color::Style;
use crate::output::{Output, Page, View, text};

/// Columns of the labels.
const LABELS: usize = 12;

impl View for Status {
    fn text(&self, page: &Page) -> String {
        let started = age::since(self.started_at.0, page.now);
        let store = &self.store;
        let mut lines = vec![
            ("Aggregator", format!("{}, up for {started}", self.version)),
            (
                "Incidents",
                format!(
                    "{} open, {} resolved",
                    self.incidents.open, self.incidents.resolved
                ),
            ),
            ("Nodes", nodes(self.nodes)),
            (
                "Store",
                format!(
                    "{} in {}, {}",
                    text::count(store.signals, "signal"),
                    text::bytes(store.size_bytes),
                    store.path
                ),
            ),
            ("Analysis", analysis(&self.analysis)),
        ];
        if let Some(error) = &store.error {
            lines.push(("Store error", error.clone()));
        }
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(label, value)| {
                let gutter = " ".repeat(LABELS + 1 - label.len());
                let label = page.paint.apply(Style::Strong, label);
                format!("{label}{gutter}{}\n", text::clean(&value))
            })
            .collect();
        lines.concat()
    }

    fn names(&self) -> Vec<String> {
        vec!["status/aggregator".to_owned()]
    }
}

fn nodes(counts: NodeCounts) -> String {
    let connected = format!("{} connected of {} known", counts.connected, counts.known);
    match counts.short_of_memory {
        0 => connected,
        short => format!("{connected}, {short} short of memory (see `inquest doctor`)"),
    }
}

fn analysis(status: &AnalysisStatus) -> String {
    if status.state == "off" {
        return "off".to_owned();
    }
    let mut parts = vec![
        status.state.clone(),
        format!("{} ({})", status.model, status.provider),
    ];
    if status.dropped_sentences > 0 {
        let dropped = text::count(status.dropped_sentences, "sentence");
        parts.push(format!("{dropped} dropped for lack of evidence"));
    }
    let error = status.last_error.iter();
    parts.extend(error.map(|error| format!("last error: {error}")));
    parts.join(", ")
}

pub(crate) async fn run(client: &Client, args: &StatusArgs, output: &Output) -> Outcome {
    let status: Status = client.get(&["status"], &[]).await?;
    output.show(&status, jiff::Timestamp::now())?;
    Ok(exit_for(
        args.exit_code.exit_code,
        status.incidents.open > 0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_short_of_memory_are_mentioned_when_there_are_any() {
        let counts = |short_of_memory| NodeCounts {
            known: 3,
            connected: 2,
            short_of_memory,
        };
        assert_eq!(nodes(counts(0)), "2 connected of 3 known");
        let told = nodes(counts(1));
        assert!(told.contains("1 short of memory"), "{told}");
    }
}
