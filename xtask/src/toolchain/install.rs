//! Installs what is missing to build the kernel programs: Debian packages, and bpf-linker from
//! crates.io into a cache outside the clone.
//!
//! Leaves to `apt` how packages are installed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{Candidates, Compiler, LlvmVersion, Origin, discover};
use crate::command::{self, Show};
use crate::{apt, output, workspace};

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
    apt::install(&COMPILER_PACKAGES)?;
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
    if apt::is_on_path("cc") {
        Ok(())
    } else {
        apt::install(&["gcc", "libc6-dev"])
    }
}

fn ensure_linker(llvm: LlvmVersion) -> anyhow::Result<()> {
    if has_linker(llvm) {
        return Ok(());
    }
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{}", llvm.major));
    if !prefix.join("include/llvm-c").is_dir() {
        apt::install(&[&format!("llvm-{}-dev", llvm.major)])?;
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
