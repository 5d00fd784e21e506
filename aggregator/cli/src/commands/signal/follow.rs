//! `inquest signal list --follow`: prints signals as they come, by long polls. Must neither repeat
//! nor skip a signal between two polls.

use std::time::Duration;

use inquest_api::List;
use serde_json::Value;

use super::{Signals, row};
use crate::args::Format;
use crate::client::Client;
use crate::commands::Outcome;
use crate::failure::Failure;
use crate::output::Output;

/// How long one poll may be held back before it is asked again.
const POLL: Duration = Duration::from_secs(20);

/// Prints until it is interrupted or the aggregator goes away.
pub(super) async fn run(
    client: &Client,
    filters: Vec<(&'static str, String)>,
    output: &Output,
) -> Outcome {
    let mut after: Option<String> = None;
    let mut headers = true;
    loop {
        let mut query = filters.clone();
        query.push(("wait", POLL.as_secs().to_string()));
        query.extend(after.clone().map(|cursor| ("after", cursor)));
        let page: List<Value> = client.get_within(&["signals"], &query, POLL).await?;
        after = page.metadata.continue_token.or(after);
        let mut signals = page.items;
        signals.sort_by_cached_key(row::time);
        if !signals.is_empty() {
            print(signals, output, headers)?;
            headers = false;
        }
    }
}

fn print(signals: Vec<Value>, output: &Output, headers: bool) -> Result<(), Failure> {
    if output.format() == Format::Json {
        return signals.iter().try_for_each(Output::json_line);
    }
    let list = List::new("SignalList", signals, None);
    output
        .continued(headers)
        .show(&Signals(list), jiff::Timestamp::now())
}
