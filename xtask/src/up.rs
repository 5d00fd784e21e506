//! `cargo xtask up`: installs, builds and starts the product on this machine, and says what to
//! try next.
//!
//! Starts nothing twice: a daemon that already runs as built and configured is left alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::clock::{self, Stopwatch};
use crate::daemon::{Daemon, Kind, Started};
use crate::{down, http, output, release, workspace};

/// How long a daemon may take until it is ready; loading the kernel's type information takes
/// about a second on an idle machine.
const READY_DEADLINE: Duration = Duration::from_mins(1);

/// Installs what is missing, builds, starts both daemons and waits until they are ready. Without
/// root the aggregator runs alone.
pub(crate) fn up(state: &Path) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let mut missing = Vec::new();
    build(&mut missing)?;

    fs::create_dir_all(state).with_context(|| format!("failed to create {}", state.display()))?;
    let aggregator = Daemon::new(Kind::Aggregator, state);
    let agent = Daemon::new(Kind::Agent, state);
    let started = ensure_running(&aggregator)?;
    if workspace::is_root() {
        let started_agent = ensure_running(&agent)?;
        summarize(started || started_agent, watch);
        show_aggregator(&aggregator)?;
        show_agent(&agent)?;
    } else {
        // sudo resets PATH and HOME, and with them where cargo and rustup are.
        let with_sudo = "sudo env \"PATH=$PATH\" \"HOME=$HOME\" cargo xtask up";
        missing.push(format!(
            "the agent: loading probes needs root; run `{with_sudo}`"
        ));
        summarize(started, watch);
        show_aggregator(&aggregator)?;
    }
    for what in missing {
        output::result(format_args!("  missing     {what}"));
    }
    show_next();
    Ok(())
}

/// Builds everything. Without root, missing kernel programs are no reason to stop: the agent will
/// not run anyway.
fn build(missing: &mut Vec<String>) -> anyhow::Result<()> {
    if workspace::is_root() {
        return release::build_all(true);
    }
    if let Err(error) = release::build_all(true) {
        missing.push(format!("the kernel programs: {error:#}"));
        return release::build_binaries();
    }
    Ok(())
}

/// Starts a daemon unless it runs as built and configured; tells whether it started one.
fn ensure_running(daemon: &Daemon) -> anyhow::Result<bool> {
    daemon.ensure_config()?;
    if let Some(record) = daemon.running() {
        let is_current = record.version == daemon.version()?;
        if is_current && daemon.is_ready() {
            return Ok(false);
        }
        let why = if is_current {
            "is not ready"
        } else {
            "has a new program or configuration"
        };
        output::progress(format_args!("the {} {why}: restarting it", daemon.name()));
        down::stop(daemon)?;
    }
    daemon.check_addresses()?;
    let started = daemon.start()?;
    wait_until_ready(daemon, &started)?;
    Ok(true)
}

fn wait_until_ready(daemon: &Daemon, started: &Started) -> anyhow::Result<()> {
    let mut ready = false;
    clock::wait_until(READY_DEADLINE, || {
        ready = daemon.is_ready();
        ready || !started.identity.is_alive()
    });
    if ready {
        return Ok(());
    }
    let what = if started.identity.is_alive() {
        "is not ready after a minute"
    } else {
        "ended"
    };
    bail!(
        "the {} {what}\n{}\nall of its log: {}",
        daemon.name(),
        daemon.last_words(started)?,
        daemon.log_path().display(),
    )
}

fn summarize(started: bool, watch: Stopwatch) {
    let what = if started {
        "Inquest is up"
    } else {
        "Inquest is already up, nothing changed"
    };
    output::result(format_args!("{what} ({})", watch.words()));
}

fn show_aggregator(daemon: &Daemon) -> anyhow::Result<()> {
    show(daemon, &format!("http://{}", daemon.address()?));
    Ok(())
}

fn show_agent(daemon: &Daemon) -> anyhow::Result<()> {
    let address = daemon.address()?;
    show(daemon, &format!("http://{address}/status"));
    let status = http::get(address, "/status")?;
    let status: Value =
        serde_json::from_str(&status.body).context("failed to read the agent's status")?;
    for line in probe_lines(&status) {
        output::result(format_args!("  {:<11} {line}", "probes"));
    }
    Ok(())
}

fn show(daemon: &Daemon, url: &str) {
    let pid = daemon
        .running()
        .map_or_else(String::new, |record| record.identity.pid.to_string());
    let log = daemon.log_path();
    let name = daemon.name();
    output::result(format_args!(
        "  {name:<11} {url}  pid {pid}  log {}",
        log.display()
    ));
}

/// Counts the attached probes in an agent's status, and those at rest until somebody asks, and names those that are missing.
fn probe_lines(status: &Value) -> Vec<String> {
    let probes = status
        .get("probes")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let text = |probe: &Value, key: &str| {
        probe
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let are = |state| move |probe: &&Value| text(probe, "state") == state;
    let attached = probes.iter().filter(are("attached")).count();
    let on_demand = probes.iter().filter(are("on-demand")).count();
    let mut lines = vec![format!("{attached}/{} attached", probes.len())];
    if let (Some(line), 1..) = (lines.first_mut(), on_demand) {
        *line = format!("{line}, {on_demand} on demand");
    }
    let is_missing = |probe: &&Value| !are("attached")(probe) && !are("on-demand")(probe);
    for probe in probes.iter().filter(is_missing) {
        lines.push(format!(
            "{} missing: {}",
            text(probe, "name"),
            text(probe, "why")
        ));
    }
    lines
}

fn show_next() {
    let inquest = workspace::release_binary("inquest");
    let inquest = inquest
        .strip_prefix(workspace::root())
        .unwrap_or(&inquest)
        .display();
    output::result("\nnext:");
    output::result("  cargo xtask demo oom");
    output::result(format_args!("  {inquest} status"));
    output::result(format_args!("  {inquest} why PID|CGROUP|INCIDENT"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_attached_probes_and_explains_the_others() {
        let status = json!({"probes": [
            {"name": "oom", "state": "attached"},
            {"name": "exec", "state": "attached"},
            {"name": "exit", "state": "missing", "why": "refused by the kernel"},
            {"name": "sched_switch", "state": "on-demand"},
        ]});
        assert_eq!(
            probe_lines(&status),
            [
                "2/4 attached, 1 on demand",
                "exit missing: refused by the kernel"
            ]
        );
        assert_eq!(probe_lines(&json!({})), ["0/0 attached"]);
    }
}
