//! `inquest analyze BUNDLE`: runs the engine over a recorded case. Must read no clock, so that the
//! same bundle gives the same report, byte for byte.

use inquest_api::Report;

use super::{Outcome, exit_for};
use crate::args::AnalyzeArgs;
use crate::bundle::read::{self, Unread};
use crate::output::{Output, text};

mod replay;

pub(crate) fn run(args: &AnalyzeArgs, output: &Output) -> Outcome {
    let bundle = read::read(&args.bundle)?;
    let coverage = unread(&bundle.unread);
    for line in &coverage {
        output.note(&format!("warning: {line}"));
    }
    let now = replay::captured_at(&bundle);
    let incidents = replay::incidents(&bundle, now);
    let report = Report {
        coverage,
        ..Report::new(incidents)
    };
    let any_open = report.incidents.iter().any(inquest_api::Incident::is_open);
    output.show(&report, inquest_api::time::Time::from(now).0)?;
    Ok(exit_for(args.exit_code.exit_code, any_open))
}

/// What was not understood, in words.
fn unread(unread: &Unread) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some((number, why)) = &unread.first {
        lines.push(format!(
            "{} of signals.jsonl could not be read, the first is line {number}: {why}",
            text::count(unread.lines, "line")
        ));
    }
    if unread.unknown_kinds > 0 {
        let count = text::count(unread.unknown_kinds, "signal");
        lines.push(format!("{count} of a kind that this version does not know"));
    }
    for (class, count) in &unread.files {
        lines.push(format!(
            "{class}: {} not read by this version",
            text::count(*count, "file")
        ));
    }
    lines
}
