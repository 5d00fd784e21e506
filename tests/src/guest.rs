//! The kernel matrix: boots each kernel in a guest of its own, has the agent proven inside, and collects
//! what the guests say. Must not judge what a guest says of itself, only that it says it to the end.

mod call_cost;
mod drop_reasons;
pub mod init;
mod initramfs;
mod machine;
mod observer;
mod oom;
mod privileges;
mod wire;

use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::binaries::Binaries;
use crate::output;
use crate::proof::{Bar, Proof};

/// Guests that run at once: each is one busy thread, and the machine's CPUs are what they share.
const MAX_AT_ONCE: usize = 2;

/// Which guests to boot.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "guests")]
pub struct Options {
    /// A guest's name and the folder with its kernel (`vmlinuz`) and `modules`; may be given more than once.
    #[arg(long, value_name = "NAME=DIR")]
    guest: Vec<Named>,
    /// A guest that cannot be booted here, and why; it is counted as skipped.
    #[arg(long, value_name = "NAME=WHY")]
    without: Vec<Named>,
}

/// Something that belongs to the guest of this name.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    value: String,
}

impl FromStr for Named {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest {}: {}", self.name, self.value)
    }
}

/// Boots the guests and gives one verdict over all of them.
pub async fn run(options: Options, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let binaries = Binaries::beside_own()?;
    let mut proof = Proof::begin("test-kernel")?;
    let dir = tempfile::tempdir().context("failed to make a folder for the guests")?;
    let mut waiting = options.guest.into_iter();
    let mut running = JoinSet::new();
    let mut start = |running: &mut JoinSet<_>| -> anyhow::Result<()> {
        if let Some(guest) = waiting.next() {
            let files = machine::Files::prepare(Path::new(&guest.value), dir.path(), &guest.name)?;
            initramfs::write(&files.archive, &binaries, &files.modules)?;
            running.spawn(async move { (guest.name, machine::boot(&files).await) });
        }
        Ok(())
    };
    for _ in 0..MAX_AT_ONCE {
        start(&mut running)?;
    }
    while let Some(ended) = running.join_next().await {
        start(&mut running)?;
        let (name, ended) = ended.context("a guest's task failed")?;
        take(&name, ended, &mut proof)?;
    }
    for skipped in &options.without {
        output::line(format_args!("skipped: {skipped}"));
    }
    proof.keep("skipped", options.without.len())?;
    output::line(format_args!("{} skipped", options.without.len()));
    proof.finish(json)
}

/// Adds what a guest said to the proof of all.
fn take(name: &str, ended: machine::Ended, proof: &mut Proof) -> anyhow::Result<()> {
    let machine::Ended {
        said,
        took_s,
        trouble,
    } = ended;
    let kernel = said.kernel.as_deref().unwrap_or("no kernel");
    output::line(format_args!("guest {name}: {kernel}, {took_s:.1} s"));
    for (what, figure) in said.figures {
        proof.figure(&format!("{name}: {what}"), figure)?;
    }
    for bar in said.bars {
        proof.add(Bar {
            name: format!("{name}: {}", bar.name),
            ..bar
        });
    }
    if let Some(trouble) = &trouble {
        output::line(format_args!("guest {name}: {trouble}"));
    }
    let how = if trouble.is_none() {
        "to its end"
    } else {
        "not to its end"
    };
    proof.exactly(&format!("{name}: the guest ran"), how, "to its end");
    Ok(())
}
