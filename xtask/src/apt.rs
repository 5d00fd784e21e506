//! Installs Debian packages with the machine's own apt.
//!
//! Never replaces or removes a package that is there.

use std::process::Command;

use anyhow::bail;

use crate::command::{self, Show};
use crate::workspace;

/// Installs packages, as root or with password-free sudo.
///
/// # Errors
///
/// Fails when this is no machine with apt, when there are no rights to install, or when a package
/// cannot be had.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let names = packages.join(" ");
    if !is_on_path("apt-get") {
        bail!("cannot install {names}: this machine has no apt-get");
    }
    if !may_become_root() {
        bail!("cannot install {names}: needs root, or sudo without a password");
    }
    if !packages.iter().all(|package| has_candidate(package)) {
        update_package_lists()?;
    }
    let step = format!("installing {names}");
    if command::run(&step, &mut apt_install(packages), Show::Heartbeat).is_ok() {
        return Ok(());
    }
    // Mirrors drop superseded versions: the lists may be too old rather than absent.
    update_package_lists()?;
    command::run(&step, &mut apt_install(packages), Show::Heartbeat)?;
    Ok(())
}

fn apt_install(packages: &[&str]) -> Command {
    let mut apt = as_root("apt-get");
    // A new machine may be upgrading itself and hold the lock.
    apt.args(["install", "--yes", "--no-install-recommends", "--no-remove"])
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(packages);
    apt
}

fn update_package_lists() -> anyhow::Result<()> {
    let step = "updating the package lists";
    command::run(step, as_root("apt-get").arg("update"), Show::Heartbeat)?;
    Ok(())
}

fn has_candidate(package: &str) -> bool {
    command::capture(
        Command::new("apt-cache")
            .args(["policy", package])
            .env("LC_ALL", "C"),
    )
    .is_some_and(|policy| tells_candidate(&policy))
}

fn tells_candidate(policy: &str) -> bool {
    let candidate = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "));
    candidate.is_some_and(|version| version != "(none)")
}

fn as_root(program: &str) -> Command {
    let mut command = if workspace::is_root() {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "--preserve-env=DEBIAN_FRONTEND", program]);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn may_become_root() -> bool {
    workspace::is_root() || command::capture(Command::new("sudo").args(["-n", "true"])).is_some()
}

/// Tells whether `program` can be run by its name.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_whether_apt_can_offer_a_package() {
        let offered = "gcc:\n  Installed: (none)\n  Candidate: 4:12.2.0-3\n";
        assert!(tells_candidate(offered));
        assert!(!tells_candidate(
            "gcc:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(
            !tells_candidate(""),
            "apt-cache says nothing about an unknown package"
        );
    }
}
