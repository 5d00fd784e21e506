//! Installs what is missing to build the kernel programs: Debian packages, and bpf-linker from
//! crates.io into a cache outside the clone.
//!
//! Never replaces or removes a package that is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::{Candidates, Compiler, LlvmVersion, Origin, discover};
use crate::command::{self, Show};
use crate::{output, workspace};

/// The release of bpf-linker that is installed; it can be built on LLVM 21, 22 and 23.
const LINKER_RELEASE: &str = "0.13.0";
/// Debian's newest compiler with its sources, kept for building web browsers.
const COMPILER_PACKAGES: [&str; 3] = ["cargo-web", "rustc-web", "rust-web-src"];

/// Installs what `candidates` lack: a compiler with sources if there is none, a C compiler if
/// there is none, and a bpf-linker on the compiler's LLVM.
///
/// # Errors
///
/// Fails when this is no machine with apt, when there are no rights to install, or when a
/// package cannot be had.
pub(crate) fn missing(candidates: &Candidates) -> anyhow::Result<()> {
    ensure_c_compiler()?;
    for (origin, compiler) in usable_compilers(candidates) {
        match ensure_linker(compiler.version.llvm) {
            Ok(()) => return Ok(()),
            Err(error) => output::progress(format_args!("no bpf-linker for {origin}: {error:#}")),
        }
    }
    install_packages(&COMPILER_PACKAGES)?;
    let found = discover();
    let compilers: Vec<_> = usable_compilers(&found).collect();
    let (_, compiler) = compilers
        .iter()
        .find(|(origin, _)| *origin == Origin::System)
        .context("the installed packages hold no compiler with its sources")?;
    ensure_linker(compiler.version.llvm)
}

fn usable_compilers(candidates: &Candidates) -> impl Iterator<Item = (Origin, &Compiler)> {
    candidates
        .compilers
        .iter()
        .filter_map(|(origin, compiler)| {
            let compiler = compiler.as_ref().ok()?;
            super::check_compiler(compiler)
                .ok()
                .map(|()| (*origin, compiler))
        })
}

/// Crates with C sources (SQLite, ring) need a compiler that cargo alone may not.
fn ensure_c_compiler() -> anyhow::Result<()> {
    if is_on_path("cc") {
        Ok(())
    } else {
        install_packages(&["gcc", "libc6-dev"])
    }
}

fn ensure_linker(llvm: LlvmVersion) -> anyhow::Result<()> {
    if has_linker(llvm) {
        return Ok(());
    }
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{}", llvm.major));
    if !prefix.join("include/llvm-c").is_dir() {
        install_packages(&[&format!("llvm-{}-dev", llvm.major)])?;
    }
    install_linker(llvm, &prefix)?;
    if !has_linker(llvm) {
        bail!("the bpf-linker just installed is not linked to LLVM {llvm}, the compiler's");
    }
    Ok(())
}

fn has_linker(llvm: LlvmVersion) -> bool {
    let linkers = discover().linkers;
    linkers.iter().any(|linker| linker.llvm == Some(llvm))
}

fn install_linker(llvm: LlvmVersion, prefix: &Path) -> anyhow::Result<()> {
    let name = format!("bpf-linker-{LINKER_RELEASE}-llvm-{}", llvm.major);
    let root = workspace::tool_cache()?.join(&name);
    let mut install = command::cargo();
    install
        .args([
            "install",
            "bpf-linker",
            "--force",
            "--locked",
            "--version",
            LINKER_RELEASE,
        ])
        .args([
            "--no-default-features",
            "--features",
            &format!("llvm-{}", llvm.major),
        ])
        .arg("--root")
        .arg(&root)
        .env("LLVM_PREFIX", prefix)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    command::run(&format!("installing {name}"), &mut install, Show::Heartbeat)?;
    Ok(())
}

fn install_packages(packages: &[&str]) -> anyhow::Result<()> {
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

fn is_on_path(program: &str) -> bool {
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
