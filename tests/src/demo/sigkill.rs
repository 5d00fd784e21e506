//! A process is killed by one that has nothing to do with it.

use inquest_proto::v1::{self, fatal_signal::Origin, signal::Body};

use super::play::{About, BY_RECORD, Played, Props, Stored, name, process};
use crate::scratch::Scratch;
use crate::victim::{Act, Ended, Launcher};

const SIGKILL: i32 = 9;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let cgroup = Scratch::create(None)?;
    let wait = Act::Wait { hold_mib: 1 };
    let mut target = launcher.launch(&cgroup, "target", wait).await?;
    let kill = Act::Kill {
        pid: target.pid().try_into()?,
        signal: SIGKILL,
    };
    let elsewhere = Scratch::create(None)?;
    let mut killer = launcher.launch(&elsewhere, "killer", kill).await?;
    killer.release().await?;
    let death = target.death().await?;
    death.must_be(Ended::Signal(SIGKILL))?;
    Ok(Played {
        target: cgroup.path(),
        cause: "killed-by-signal",
        since: death.at,
        visible_within: BY_RECORD,
        names: vec![
            name("cgroup", cgroup.path()),
            name("victim", process("target", death.pid)),
            name("signal", "SIGKILL"),
            name("sender", process("killer", killer.pid())),
        ],
        stored: Stored {
            kind: "fatal_signal",
            about: About::Process(death.pid),
            holds: Box::new(holds),
        },
        props: Props {
            victims: vec![killer],
            cgroups: vec![cgroup, elsewhere],
            ..Props::default()
        },
    })
}

/// A process that called kill(2) sent it.
fn holds(signal: &v1::Signal) -> bool {
    let Some(Body::FatalSignal(fatal)) = &signal.body else {
        return false;
    };
    let sender = fatal.sender.as_ref();
    fatal.origin() == Origin::User && sender.is_some_and(|sender| sender.comm == "killer")
}
