//! Runs the command that was asked for. Must print nothing itself: commands hand views to `output`.

use std::future::Future;

use crate::args::{
    BundleCommand, Cli, Command, IncidentCommand, Invocation, NodeCommand, OutputArgs,
    SignalCommand,
};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::Output;

mod analyze;
mod bundle;
mod completion;
mod doctor;
mod incident;
mod node;
mod profile;
mod signal;
mod status;
mod version;
mod why;

/// How a command ends.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Runs one command to its end.
pub(crate) fn run(invocation: Invocation) -> Outcome {
    let Invocation { cli, name } = invocation;
    let output = |args: &OutputArgs| Output::new(args, cli.global.color, name);
    match &cli.command {
        Command::Completion(args) => completion::run(args),
        Command::Analyze(args) => analyze::run(args, &output(&args.output)),
        Command::Version(args) if args.client => version::client(&output(&args.output)),
        _ => online(ask(&cli, &output)),
    }
}

/// Runs a command that talks to the aggregator.
async fn ask(cli: &Cli, output: &impl Fn(&OutputArgs) -> Output) -> Outcome {
    let client = &Client::try_new(&cli.global)?;
    match &cli.command {
        Command::Why(args) => why::run(client, args, &output(&args.output)).await,
        Command::Profile(args) => {
            profile::run(
                client,
                args,
                cli.global.request_timeout.0,
                &output(&args.output),
            )
            .await
        }
        Command::Incident(IncidentCommand::List(args)) => {
            incident::list(client, args, &output(&args.output)).await
        }
        Command::Incident(IncidentCommand::Show(args)) => {
            incident::show(client, args, &output(&args.output)).await
        }
        Command::Signal(SignalCommand::List(args)) => {
            signal::list(client, args, &output(&args.output)).await
        }
        Command::Node(NodeCommand::List(args)) => node::list(client, &output(&args.output)).await,
        Command::Status(args) => status::run(client, args, &output(&args.output)).await,
        Command::Doctor(args) => doctor::run(client, &output(&args.output)).await,
        Command::Bundle(BundleCommand::Create(args)) => bundle::create(client, args).await,
        Command::Version(args) => version::both(client, &output(&args.output)).await,
        Command::Analyze(_) | Command::Completion(_) => Ok(Exit::Ok),
    }
}

/// Runs what talks to the aggregator; Ctrl-C ends it with its own exit code.
fn online(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        Failure::new(
            "cannot start",
            error,
            "free some file descriptors or memory and try again",
        )
    })?;
    runtime.block_on(async {
        tokio::select! {
            outcome = command => outcome,
            Ok(()) = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
        }
    })
}

/// The exit of a command that shows incidents: 10 when that was asked for and one is open.
fn exit_for(asked: bool, any_open: bool) -> Exit {
    if asked && any_open {
        Exit::OpenIncident
    } else {
        Exit::Ok
    }
}

/// What a person gave, without the `kind/` that `-o name` prints before it.
fn bare<'a>(given: &'a str, kind: &str) -> &'a str {
    given
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_back_what_name_output_gave() {
        for (given, bare_id) in [
            ("incident/inc-1", "inc-1"),
            ("inc-1", "inc-1"),
            ("/shop/cart", "/shop/cart"),
            ("incidental", "incidental"),
        ] {
            assert_eq!(bare(given, "incident"), bare_id);
        }
    }
}
