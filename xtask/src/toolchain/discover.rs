//! Looks for compilers and linkers on this machine.
//!
//! Changes nothing, and judges nothing: that is `choose`'s part.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Candidates, Compiler, Linker, LlvmVersion, Origin, RustcVersion, TOOLCHAIN_VARIABLE};
use crate::{command, workspace};

/// Looks at every place where a compiler or a linker may be.
pub(crate) fn discover() -> Candidates {
    let compilers = match env::var(TOOLCHAIN_VARIABLE) {
        Ok(name) => vec![(Origin::Explicit, explicit(&name))],
        Err(_) => vec![
            (Origin::Nightly, nightly()),
            (Origin::RustupDefault, rustup_default()),
            (Origin::System, compiler_in(Path::new("/usr"))),
        ],
    };
    Candidates {
        compilers,
        linkers: linkers(),
    }
}

fn explicit(name: &str) -> Result<Compiler, String> {
    if name.contains('/') {
        compiler_in(Path::new(name))
    } else {
        rustup_toolchain(name)
    }
}

fn nightly() -> Result<Compiler, String> {
    let list = command::capture(rustup().args(["toolchain", "list"]))
        .ok_or_else(|| "there is no rustup".to_owned())?;
    let name = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .find(|name| name.starts_with("nightly"))
        .ok_or_else(|| "not installed".to_owned())?;
    rustup_toolchain(name)
}

fn rustup_default() -> Result<Compiler, String> {
    let active = command::capture(rustup().args(["show", "active-toolchain"]))
        .ok_or_else(|| "there is no rustup, or it has no toolchain for this clone".to_owned())?;
    let name = active
        .split_whitespace()
        .next()
        .ok_or_else(|| "rustup names none".to_owned())?;
    rustup_toolchain(name)
}

fn rustup_toolchain(name: &str) -> Result<Compiler, String> {
    let rustc = command::capture(rustup().args(["which", "--toolchain", name, "rustc"]))
        .ok_or_else(|| format!("rustup has no toolchain {name}"))?;
    match Path::new(rustc.trim()).ancestors().nth(2) {
        Some(sysroot) => compiler_in(sysroot),
        None => Err(format!("rustup names {} as its rustc", rustc.trim())),
    }
}

/// Rustup, looking at the clone, whatever toolchain runs this program.
fn rustup() -> Command {
    let mut command = Command::new("rustup");
    command
        .current_dir(workspace::root())
        .env_remove("RUSTUP_TOOLCHAIN");
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command
}

/// The compiler whose `bin` and `lib` lie in `sysroot`.
fn compiler_in(sysroot: &Path) -> Result<Compiler, String> {
    let (cargo, rustc) = (sysroot.join("bin/cargo"), sysroot.join("bin/rustc"));
    for program in [&cargo, &rustc] {
        if !program.is_file() {
            return Err(format!("there is no {}", program.display()));
        }
    }
    let verbose = command::capture(
        Command::new(&rustc)
            .arg("-vV")
            .env_remove("LD_LIBRARY_PATH"),
    )
    .ok_or_else(|| format!("{} does not run", rustc.display()))?;
    let version = RustcVersion::from_verbose(&verbose)
        .ok_or_else(|| format!("{} does not tell its version", rustc.display()))?;
    let has_source = sysroot
        .join("lib/rustlib/src/rust/library/Cargo.lock")
        .is_file();
    Ok(Compiler {
        cargo,
        rustc,
        version,
        has_source,
    })
}

fn linkers() -> Vec<Linker> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).collect::<Vec<PathBuf>>();
    let mut found: Vec<Linker> = Vec::new();
    for program in on_path
        .into_iter()
        .chain(installed())
        .map(|dir| dir.join("bpf-linker"))
    {
        if program.is_file() && found.iter().all(|linker| linker.path != program) {
            found.push(Linker {
                llvm: llvm_of(&program),
                path: program,
            });
        }
    }
    found
}

/// The `bin` folders of the tools that `install` built.
fn installed() -> Vec<PathBuf> {
    let Ok(entries) = workspace::tool_cache().and_then(|cache| Ok(std::fs::read_dir(cache)?))
    else {
        return Vec::new();
    };
    let mut dirs: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    dirs.sort();
    dirs
}

fn llvm_of(program: &Path) -> Option<LlvmVersion> {
    let ldd = command::capture(
        Command::new("ldd")
            .arg(program)
            .env_remove("LD_LIBRARY_PATH"),
    )?;
    LlvmVersion::from_ldd(&ldd)
}
