//! `inquest signal list`. Must show every signal it gets, also kinds it does not know.

use inquest_api::List;
use serde::Serialize;
use serde_json::Value;

pub(super) use self::follow::newest;
use self::pages::Pages;
use self::row::COLUMNS;
pub(super) use self::row::{address, millis, name, process, state};
use super::Outcome;
use crate::args::SignalListArgs;
use crate::client::Client;
use crate::failure::Exit;
use crate::output::table::{Column, Table};
use crate::output::{Output, Page, View};

mod follow;
pub(crate) mod pages;
mod row;

/// One list of signals as REST gives them: proto3 JSON, unchanged.
#[derive(Serialize)]
#[serde(transparent)]
struct Signals {
    list: List<Value>,
    #[serde(skip)]
    columns: &'static [Column],
}

impl Signals {
    /// In order of time.
    fn new(mut signals: Vec<Value>, columns: &'static [Column]) -> Self {
        signals.sort_by_cached_key(row::time);
        Self {
            list: List::new("SignalList", signals, None),
            columns,
        }
    }
}

impl View for Signals {
    fn text(&self, page: &Page) -> String {
        let mut table = Table::new(self.columns);
        for signal in &self.list.items {
            table.row(row::cells(signal));
        }
        table.render(page)
    }

    fn names(&self) -> Vec<String> {
        self.list.items.iter().map(name).collect()
    }
}

pub(crate) async fn list(client: &Client, args: &SignalListArgs, output: &Output) -> Outcome {
    let now = jiff::Timestamp::now();
    let filters = filters(args, now);
    if args.follow {
        return follow::run(client, args, filters, output).await;
    }
    let mut pages = Pages::new(client, filters);
    let (signals, more) = pages.newest(args.limit as usize).await?;
    if signals.is_empty() {
        output.note("no signals match");
    }
    output.show(&Signals::new(signals, &COLUMNS), now)?;
    if more {
        output.note(&format!(
            "these are the newest {}; more match: raise --limit or narrow the question",
            args.limit
        ));
    }
    Ok(Exit::Ok)
}

fn filters(args: &SignalListArgs, now: jiff::Timestamp) -> Vec<(&'static str, String)> {
    let moment = |moment: crate::args::Moment| moment.resolve(now).to_string();
    let filters = [
        ("kind", args.kind.map(|kind| kind.name().to_owned())),
        ("node", args.node.clone()),
        ("cgroup", args.cgroup.clone()),
        ("pid", args.pid.map(|pid| pid.to_string())),
        ("since", args.since.map(moment)),
        ("until", args.until.map(moment)),
    ];
    filters
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}
