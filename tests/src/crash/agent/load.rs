//! A busy kernel: processes that start, fail, are killed and run out of memory in scratch cgroups,
//! without end. Must keep to a few small processes at a time.

use tokio::sync::watch;

use crate::scratch::Scratch;
use crate::victim::{Act, Launcher};

const SIGKILL: i32 = 9;
const LIMIT_BYTES: u64 = 16 << 20;

/// Runs victims until `stop` turns true, and says how many.
pub(super) async fn run(launcher: Launcher, stop: watch::Receiver<bool>) -> anyhow::Result<u64> {
    let mut victims = 0;
    while !*stop.borrow() {
        let cgroup = Scratch::create(Some(LIMIT_BYTES))?;
        let wait = Act::Wait { hold_mib: 0 };
        let mut target = launcher.launch(&cgroup, "target", wait).await?;
        let kill = Act::Kill {
            pid: target.pid().try_into()?,
            signal: SIGKILL,
        };
        for act in [Act::Exit { code: 1 }, kill, Act::Grow] {
            let mut victim = launcher.launch(&cgroup, "victim", act).await?;
            victim.release().await?;
            victim.let_go();
            victim.death().await?;
            victims += 1;
        }
        target.death().await?;
        victims += 1;
    }
    Ok(victims)
}
