//! What a proof must know of the machine it is taken on. Reads only.

use anyhow::Context as _;

/// The load average of the last minute.
pub fn load_average() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("failed to read the load")?;
    let first = text.split_whitespace().next().unwrap_or_default();
    first
        .parse()
        .with_context(|| format!("failed to read the load from `{text}`"))
}

/// The kernel's release, for example `6.12.1`.
pub fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// How many CPUs this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Whether this process may load probes and make cgroups.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Fails, with the next step, unless this process is root.
pub fn require_root(what: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        is_root(),
        "{what} needs root: it makes cgroups and loads probes\nnext: run it with sudo"
    );
    Ok(())
}
