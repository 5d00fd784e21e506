//! A program ends because its configuration is not there, after others that it can do without.

use std::path::Path;

use inquest_proto::v1::{self, signal::Body};
use rustix::io::Errno;

use super::play::{About, BY_RECORD, Played, Props, Stored, name, process};
use crate::scratch::Scratch;
use crate::victim::{Act, Ended, Launcher};

/// A directory that nobody makes.
const CONFIG: &str = "/etc/inquest-demo/config.yaml";

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    anyhow::ensure!(
        !Path::new(CONFIG).try_exists()?,
        "{CONFIG} is there: nothing can be proven"
    );
    let cgroup = Scratch::create(None)?;
    let read = Act::ReadConfig {
        path: CONFIG.into(),
    };
    let mut shop = launcher.launch(&cgroup, "shop", read).await?;
    shop.release().await?;
    shop.failed_with(Errno::NOENT.raw_os_error()).await?;
    let death = shop.death().await?;
    death.must_be(Ended::Code(1))?;
    Ok(Played {
        target: cgroup.path(),
        cause: "file-missing",
        since: death.at,
        visible_within: BY_RECORD,
        names: vec![
            name("cgroup", cgroup.path()),
            name("process", process("shop", death.pid)),
            name("file", CONFIG),
        ],
        stored: Stored {
            kind: "process_exit",
            about: About::Process(death.pid),
            holds: Box::new(holds),
        },
        props: Props {
            cgroups: vec![cgroup],
            ..Props::default()
        },
    })
}

/// The missing file is the last word of a process that ended with code 1.
fn holds(signal: &v1::Signal) -> bool {
    let Some(Body::ProcessExit(exit)) = &signal.body else {
        return false;
    };
    let last = exit.last_words.last();
    exit.code == 1 && last.is_some_and(|call| call.path == CONFIG && call.errno == "ENOENT")
}
