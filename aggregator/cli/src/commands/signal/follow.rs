//! `inquest signal list --follow`: prints signals as they come, by long polls. Must neither repeat
//! nor skip a signal between two polls.

use std::time::Duration;

use inquest_api::List;
use serde_json::Value;

use super::Signals;
use super::pages::PAGE_ITEMS;
use super::row::FOLLOWED;
use crate::args::{Format, SignalListArgs};
use crate::client::Client;
use crate::commands::Outcome;
use crate::failure::Failure;
use crate::output::{self, Output};

/// How long one poll may be held back before it is asked again.
const POLL: Duration = Duration::from_secs(20);
/// The position before the first signal ever stored.
const BEGINNING: &str = "0";

/// Prints until it is interrupted or the aggregator goes away.
pub(super) async fn run(
    client: &Client,
    args: &SignalListArgs,
    filters: Vec<(&'static str, String)>,
    output: &Output,
) -> Outcome {
    let mut after = match args.since {
        Some(_) => BEGINNING.to_owned(),
        None => newest(client).await?,
    };
    let mut headers = true;
    loop {
        let mut query = filters.clone();
        query.push(("limit", PAGE_ITEMS.to_string()));
        query.push(("wait", POLL.as_secs().to_string()));
        query.push(("after", after.clone()));
        let page: List<Value> = client.get_within(&["signals"], &query, POLL).await?;
        after = page.metadata.continue_token.unwrap_or(after);
        if !page.items.is_empty() {
            print(page.items, output, headers)?;
            headers = false;
        }
    }
}

/// The position of the newest signal: everything after it is new.
pub(in crate::commands) async fn newest(client: &Client) -> Result<String, Failure> {
    let one = || ("limit", "1".to_owned());
    let newest: List<Value> = client.get(&["signals"], &[one()]).await?;
    if let Some(position) = newest.metadata.continue_token {
        return Ok(position);
    }
    // Nothing older remains: the newest, if there is any, is the first.
    let query = [one(), ("after", BEGINNING.to_owned())];
    let first: List<Value> = client.get(&["signals"], &query).await?;
    let position = first.metadata.continue_token;
    Ok(position.unwrap_or_else(|| BEGINNING.to_owned()))
}

fn print(signals: Vec<Value>, output: &Output, headers: bool) -> Result<(), Failure> {
    if output.format() == Format::Json {
        return signals.iter().try_for_each(Output::json_line);
    }
    if output.format() == Format::Yaml {
        // Each part is a document of its own.
        output::data("---\n")?;
    }
    let signals = Signals::new(signals, &FOLLOWED);
    output
        .continued(headers)
        .show(&signals, jiff::Timestamp::now())
}
