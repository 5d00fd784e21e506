//! A process writes where nothing is mapped.

use inquest_proto::v1::{self, fatal_signal::Origin, signal::Body};

use super::play::{Played, name, process};
use super::stage::Stage;
use crate::scratch::Scratch;
use crate::victim::{Act, Ended};

const SIGSEGV: i32 = 11;
/// A member of a structure at address zero.
const ADDRESS: u8 = 16;

pub(super) async fn play(stage: &Stage) -> anyhow::Result<Played> {
    let cgroup = Scratch::create(None)?;
    let fault = Act::Fault {
        address: ADDRESS.into(),
    };
    let mut crasher = stage.launcher.launch(&cgroup, "crasher", fault).await?;
    crasher.release().await?;
    let death = crasher.death().await?;
    death.must_be(Ended::Signal(SIGSEGV))?;
    Ok(Played {
        target: cgroup.path(),
        cause: "native-crash",
        death,
        names: vec![
            name("cgroup", cgroup.path()),
            name("victim", process("crasher", death.pid)),
            name("signal", "SIGSEGV"),
            name("address", format!("{ADDRESS:#x}")),
        ],
        kind: "fatal_signal",
        holds,
        _alive: Vec::new(),
        _cgroups: vec![cgroup],
    })
}

/// The fault was at the address that was written to.
fn holds(signal: &v1::Signal) -> bool {
    let Some(Body::FatalSignal(fatal)) = &signal.body else {
        return false;
    };
    fatal.origin() == Origin::Fault && fatal.fault_address == Some(ADDRESS.into())
}
