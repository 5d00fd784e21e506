//! A program ends because the file system that it writes to is full.

use anyhow::Context as _;
use inquest_proto::v1::{self, signal::Body};
use rustix::io::Errno;

use super::play::{About, BY_RECORD, Played, Props, Stored, name, process};
use crate::namespaces::Namespaces;
use crate::scratch::Scratch;
use crate::tool::Tool;
use crate::victim::{Act, Ended, Launcher};

const SIZE: &str = "size=1m";

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let dir = tempfile::tempdir().context("failed to make a directory")?;
    let mount_point = dir.path().display().to_string();
    let mounts = Namespaces::mount()?;
    mounts.run(
        Tool::Mount,
        &["-t", "tmpfs", "-o", SIZE, "tmpfs", &mount_point],
    )?;
    let cgroup = Scratch::create(None)?;
    let fill = Act::Fill {
        dir: dir.path().to_owned(),
    };
    let mut shop = launcher.launch_in(&mounts, &cgroup, "shop", fill).await?;
    let device = device(&mounts, &mount_point)?;
    shop.release().await?;
    shop.failed_with(Errno::NOSPC.raw_os_error()).await?;
    let death = shop.death().await?;
    death.must_be(Ended::Code(1))?;
    Ok(Played {
        target: cgroup.path(),
        cause: "disk-full",
        since: death.at,
        visible_within: BY_RECORD,
        names: vec![
            name("cgroup", cgroup.path()),
            name("process", process("shop", death.pid)),
            name("mount", &mount_point),
            name("errno", "ENOSPC"),
        ],
        stored: Stored {
            kind: "process_exit",
            about: About::Process(death.pid),
            holds: Box::new(move |signal| holds(signal, &device)),
        },
        props: Props {
            cgroups: vec![cgroup],
            mounts: Some(mounts),
            dir: Some(dir),
            ..Props::default()
        },
    })
}

/// The number of the file system's device, as mountinfo spells it.
fn device(mounts: &Namespaces, mount_point: &str) -> anyhow::Result<String> {
    let table = mounts.run(Tool::Findmnt, &["-no", "MAJ:MIN", mount_point])?;
    Ok(table.trim().to_owned())
}

/// The last that failed was a write to that file system, for want of space.
fn holds(signal: &v1::Signal, device: &str) -> bool {
    let Some(Body::ProcessExit(exit)) = &signal.body else {
        return false;
    };
    let last = exit.last_words.last();
    exit.code == 1 && last.is_some_and(|call| call.errno == "ENOSPC" && call.device == device)
}
