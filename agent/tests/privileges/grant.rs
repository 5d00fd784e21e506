//! Starts a program with some capabilities only, by setpriv(1).

use std::process::Command;

use super::process::command;

/// Whether capabilities can be given up here. If not, the test is counted as skipped.
pub(crate) fn is_possible() -> bool {
    if !rustix::process::geteuid().is_root() {
        testkit::skip("giving capabilities up needs root");
        return false;
    }
    let is_there = Command::new("setpriv").arg("--version").output().is_ok();
    if !is_there {
        testkit::skip("setpriv is not installed");
    }
    is_there
}

/// The arguments of setpriv(1) that leave `granted` and nothing else to what root executes.
pub(crate) fn arguments(granted: &[&str]) -> [String; 2] {
    let added = granted
        .iter()
        .map(|name| format!(",+{}", name.to_lowercase()));
    let set = format!("-all{}", added.collect::<String>());
    [
        "--inh-caps=-all".to_owned(),
        format!("--bounding-set={set}"),
    ]
}

/// Returns a command that runs the agent with `granted` and nothing else, as root, and with mounts of its own, as in a
/// container: what others see, it sees by them only.
pub(crate) fn agent_with(granted: &[&str]) -> Command {
    let mut enclosed = Command::new("unshare");
    enclosed
        .args(["--mount", "setpriv"])
        .args(arguments(granted))
        .arg(command().get_program());
    enclosed
}
