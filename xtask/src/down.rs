//! `cargo xtask down`: stops what `up` started, and nothing else.
//!
//! Does not look for processes: only what the pid files name is stopped.

use std::path::Path;

use crate::daemon::{Daemon, Kind, Stopped};
use crate::output;

/// Stops agent and aggregator, in this order, so that the agent can hand over what it has.
pub(crate) fn down(state: &Path) -> anyhow::Result<()> {
    for kind in [Kind::Agent, Kind::Aggregator] {
        let daemon = Daemon::new(kind, state);
        stop(&daemon)?;
    }
    Ok(())
}

/// Stops one daemon and says how it went.
pub(crate) fn stop(daemon: &Daemon) -> anyhow::Result<()> {
    let how = match daemon.stop()? {
        Stopped::WasNotRunning => "was not running",
        Stopped::Ended => "stopped",
        Stopped::Killed => "did not stop when asked within 15 seconds; it was killed",
    };
    output::result(format_args!("{}: {how}", daemon.name()));
    Ok(())
}
