//! The main process of a cgroup is killed by another one in it, as by a watchdog.

use inquest_proto::v1::{self, fatal_signal::SenderClass, signal::Body};
use rustix::process::Signal;

use super::play::{About, BY_RECORD, Played, Props, Stored, name, process};
use crate::scratch::Scratch;
use crate::victim::{Act, Ended, Launcher};

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let sigkill = Signal::KILL.as_raw();
    let cgroup = Scratch::create(None)?;
    let wait = Act::Wait { hold_mib: 1 };
    let mut shop = launcher.launch(&cgroup, "shop", wait).await?;
    let kill = Act::Kill {
        pid: shop.pid().try_into()?,
        signal: sigkill,
    };
    let mut watchdog = launcher.launch(&cgroup, "watchdog", kill).await?;
    watchdog.release().await?;
    let death = shop.death().await?;
    death.must_be(Ended::Signal(sigkill))?;
    let sender = watchdog.pid();
    Ok(Played {
        target: cgroup.path(),
        cause: "killed-by-signal",
        since: death.at,
        visible_within: BY_RECORD,
        names: vec![
            name("cgroup", cgroup.path()),
            name("victim", process("shop", death.pid)),
            name("signal", "SIGKILL"),
            name("sender", process("watchdog", sender)),
            name("what the sender is", "same cgroup"),
        ],
        stored: Stored {
            kind: "fatal_signal",
            about: About::Process(death.pid),
            holds: Box::new(move |signal| holds(signal, sender)),
        },
        props: Props {
            victims: vec![watchdog],
            cgroups: vec![cgroup],
            ..Props::default()
        },
    })
}

/// The watchdog sent it, and is known as a sibling.
fn holds(signal: &v1::Signal, sender: u32) -> bool {
    let Some(Body::FatalSignal(fatal)) = &signal.body else {
        return false;
    };
    let is_sender = fatal.sender.as_ref().is_some_and(|by| by.pid == sender);
    is_sender && fatal.sender_class() == SenderClass::Sibling
}
