//! A process is killed by another one in its cgroup.

use inquest_proto::v1::{self, fatal_signal::Origin, signal::Body};

use super::play::{Played, name, process};
use super::stage::Stage;
use crate::scratch::Scratch;
use crate::victim::{Act, Ended};

const SIGKILL: i32 = 9;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Played> {
    let cgroup = Scratch::create(None)?;
    let wait = Act::Wait { hold_mib: 1 };
    let mut target = stage.launcher.launch(&cgroup, "target", wait).await?;
    let kill = Act::Kill {
        pid: target.pid().try_into()?,
        signal: SIGKILL,
    };
    let mut killer = stage.launcher.launch(&cgroup, "killer", kill).await?;
    killer.release().await?;
    let death = target.death().await?;
    death.must_be(Ended::Signal(SIGKILL))?;
    Ok(Played {
        target: cgroup.path(),
        cause: "killed-by-signal",
        death,
        names: vec![
            name("cgroup", cgroup.path()),
            name("victim", process("target", death.pid)),
            name("signal", "SIGKILL"),
            name("sender", process("killer", killer.pid())),
        ],
        kind: "fatal_signal",
        holds,
        _alive: vec![killer],
        _cgroups: vec![cgroup],
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
