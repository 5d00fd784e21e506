//! `inquest bundle create FILE`: records signals and nodes from the aggregator. Must say what it
//! put into the bundle.

use inquest_api::time::Time;

use super::signal::pages::Pages;
use super::{Outcome, node};
use crate::args::BundleCreateArgs;
use crate::bundle::write::Writer;
use crate::bundle::{MANIFEST, Manifest, NODES, SIGNALS, VERSION, Window};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{self, text};

/// Most signals recorded; `analyze` reads as many.
const MAX_SIGNALS: usize = 1_000_000;

pub(crate) async fn create(client: &Client, args: &BundleCreateArgs) -> Outcome {
    let now = jiff::Timestamp::now();
    let start = args.since.resolve(now);
    let mut writer = Writer::try_new(&args.file)?;
    let nodes = node::fetch(client).await?;
    let signals = signals(client, args, start).await?;
    let manifest = Manifest {
        version: VERSION,
        cluster: args.cluster.clone(),
        captured_at: Some(Time(now)),
        window: Some(Window {
            start: Time(start),
            end: Time(now),
        }),
    };
    let contents = format!(
        "{}\n  {MANIFEST}    what was recorded: {} to {}\n  {SIGNALS}  {}\n  {NODES}     {}\n",
        args.file.display(),
        second(start),
        second(now),
        text::count(signals.len() as u64, "signal"),
        text::count(nodes.items.len() as u64, "node"),
    );
    writer.document(MANIFEST, &manifest)?;
    writer.document(NODES, &nodes)?;
    writer.lines(SIGNALS, signals)?;
    writer.finish()?;
    output::data(&contents)?;
    Ok(Exit::Ok)
}

fn second(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The signals since `start` as lines of JSON, oldest first.
async fn signals(
    client: &Client,
    args: &BundleCreateArgs,
    start: jiff::Timestamp,
) -> Result<Vec<String>, Failure> {
    let mut filters = vec![("since", start.to_string())];
    filters.extend(args.node.clone().map(|node| ("node", node)));
    filters.extend(args.cgroup.clone().map(|path| ("cgroup", path)));
    let mut pages = Pages::new(client, filters);
    let mut lines = Vec::new();
    while let Some(page) = pages.next(usize::MAX).await? {
        lines.extend(page.iter().map(ToString::to_string));
        if lines.len() > MAX_SIGNALS {
            return Err(Failure::new(
                format!("cannot write bundle {}", args.file.display()),
                format!("there are more than {MAX_SIGNALS} signals in this span"),
                "record a shorter span with --since, or one node with --node",
            ));
        }
    }
    lines.reverse();
    Ok(lines)
}
