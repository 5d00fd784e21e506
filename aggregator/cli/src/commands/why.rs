//! `inquest why TARGET`. Must answer at once: it prints what is stored, and waits for no model.

use inquest_api::{Incident, Report};

use super::{Outcome, bare, exit_for};
use crate::args::WhyArgs;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::output::why::Answer;

pub(crate) async fn run(client: &Client, args: &WhyArgs, output: &Output) -> Outcome {
    let target = bare(&args.target, "incident").to_owned();
    let report: Report = client.get(&["why"], &[("target", target)]).await?;
    if report.incidents.is_empty() {
        return Err(Failure::new(
            format!("nothing is known about `{}`", args.target),
            "no incident goes by that name",
            "list what there is with `inquest incident list`, or check `inquest doctor`",
        )
        .exit(Exit::NotFound));
    }
    let any_open = report.incidents.iter().any(Incident::is_open);
    output.show(&Answer(report), jiff::Timestamp::now())?;
    Ok(exit_for(args.exit_code.exit_code, any_open))
}
