//! Prints what the probes see on this machine, for developers of probes: the state of each probe to standard
//! error, then one signal a line to standard output, as proto3 JSON. Needs root and an object made by
//! `cargo xtask build-ebpf`.
//!
//! ```sh
//! cargo run -p inquest-agent --example observe -- --seconds 30 --hook raw_tp
//! ```
//!
//! With what the probes log for their developers, on standard error:
//!
//! ```sh
//! cargo xtask build-ebpf --log
//! RUST_LOG=debug cargo run -p inquest-agent --features probe-log --example observe
//! ```
#![expect(clippy::print_stderr, reason = "a developer's tool that prints")]

use std::{
    io::{self, Write as _},
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use inquest_agent::{
    collect::Observed,
    probes::{self, Hook, ProbeConfig},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Signals on their way to the screen.
const QUEUE: usize = 1024;

#[derive(Debug, Parser)]
struct Args {
    /// End after this many seconds
    #[arg(long, default_value_t = u64::MAX)]
    seconds: u64,
    /// Try only this hook: tp_btf, raw_tp or tracepoint
    #[arg(long, value_parser = parse_hook)]
    hook: Option<Hook>,
    /// Leave out probes of these names
    #[arg(long)]
    disable: Vec<String>,
}

fn parse_hook(name: &str) -> Result<Hook, String> {
    let found = Hook::LADDER.into_iter().find(|hook| hook.name() == name);
    found.ok_or_else(|| "no such hook".to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(io::stderr)
        .init();
    let args = Args::parse();
    let mut config = ProbeConfig {
        disabled: args.disable,
        ..ProbeConfig::default()
    };
    if let Some(hook) = args.hook {
        config.hooks = vec![hook];
    }
    let loaded = probes::load(&config);
    eprintln!(
        "kernel {}, cgroup version {}",
        loaded.kernel_release, loaded.cgroup_version
    );
    for probe in &loaded.probes {
        eprintln!(
            "{} {:?} {} {}",
            probe.name,
            probe.state(),
            probe.hook,
            probe.detail
        );
    }
    let collector = loaded.collector.context("nothing was loaded")?;
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(collector.run(sender, shutdown.clone()));
    let printing = async {
        while let Some(observed) = receiver.recv().await {
            match observed {
                Observed::Signal(signal) => {
                    writeln!(io::stdout(), "{}", serde_json::to_string(&signal)?)?;
                }
                Observed::Loss(loss) => eprintln!("lost {loss:?}"),
                Observed::Watermark(_) => {}
            }
        }
        anyhow::Ok(())
    };
    let ending = async {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(args.seconds)) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        shutdown.cancel();
    };
    let (printed, ()) = tokio::join!(printing, ending);
    running.await.context("the collector panicked")??;
    printed
}
