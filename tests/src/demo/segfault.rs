//! A process writes where nothing is mapped.

use inquest_proto::v1::{self, fatal_signal::Origin, signal::Body};

use super::play::{About, BY_RECORD, Played, Props, Stored, name, process};
use crate::scratch::Scratch;
use crate::victim::{Act, Ended, Launcher};

const SIGSEGV: i32 = 11;
/// A member of a structure at address zero.
const ADDRESS: u8 = 16;

pub(super) async fn play(launcher: &Launcher) -> anyhow::Result<Played> {
    let cgroup = Scratch::create(None)?;
    let fault = Act::Fault {
        address: ADDRESS.into(),
    };
    let mut crasher = launcher.launch(&cgroup, "crasher", fault).await?;
    crasher.release().await?;
    let death = crasher.death().await?;
    death.must_be(Ended::Signal(SIGSEGV))?;
    Ok(Played {
        target: cgroup.path(),
        cause: "native-crash",
        since: death.at,
        visible_within: BY_RECORD,
        names: vec![
            name("cgroup", cgroup.path()),
            name("victim", process("crasher", death.pid)),
            name("signal", "SIGSEGV"),
            name("address", format!("{ADDRESS:#x}")),
        ],
        stored: Stored {
            kind: "fatal_signal",
            about: About::Process(death.pid),
            holds: Box::new(holds),
        },
        props: Props {
            cgroups: vec![cgroup],
            ..Props::default()
        },
    })
}

/// The fault was at the address that was written to.
fn holds(signal: &v1::Signal) -> bool {
    let Some(Body::FatalSignal(fatal)) = &signal.body else {
        return false;
    };
    fatal.origin() == Origin::Fault && fatal.fault_address == Some(ADDRESS.into())
}
