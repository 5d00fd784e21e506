//! Builds the kernel programs into the object that the agent embeds, and skips the work when
//! nothing changed.
//!
//! Does not choose the toolchain: that is `toolchain`'s part.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::clock::Stopwatch;
use crate::command::{self, Show};
use crate::toolchain::{self, Toolchain};
use crate::{output, workspace};

const PACKAGE: &str = "inquest-agent-ebpf";
const TARGET: &str = "bpfel-unknown-none";

/// How to build the kernel programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Builds in what the probes log for their developers.
    pub(crate) log: bool,
    /// Installs what is missing.
    pub(crate) may_install: bool,
}

/// What an object was built from; an object is up to date while this stays the same.
///
/// The digests are no protection against anybody: a collision costs one missed rebuild.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Fingerprint {
    sources: u64,
    log: bool,
    toolchain: String,
    object: u64,
}

/// Builds the object when its sources, its options or the toolchain changed since the last time.
///
/// # Errors
///
/// Fails when there is no toolchain (with what to do about it) or when the programs do not build.
pub(crate) fn build(options: Options) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let previous = read_fingerprint();
    let sources = hash_sources()?;
    let current = |previous: &Fingerprint| {
        previous.sources == sources
            && previous.log == options.log
            && hash_object().is_ok_and(|object| object == previous.object)
    };
    let candidates = toolchain::discover();
    let chosen = toolchain::choose(&candidates).chosen;
    if let Some(previous) = previous.filter(current) {
        let still_holds = match chosen {
            Some(chosen) => previous.toolchain == chosen.to_string(),
            // Without a toolchain the object that is there is as good as one can get; only a
            // toolchain that was asked for by name must not be absent silently.
            None => !toolchain::is_explicit(),
        };
        if still_holds {
            let text = format_args!("kernel programs: up to date ({})", previous.toolchain);
            output::progress(text);
            return Ok(());
        }
    }

    let toolchain = toolchain::ensure(&candidates, options.may_install)?;
    compile(&toolchain, options)?;
    let changed = publish(&toolchain)?;
    let object = hash_object()?;
    write_fingerprint(&Fingerprint {
        sources,
        log: options.log,
        toolchain: toolchain.to_string(),
        object,
    })?;
    let what = if changed {
        "written to"
    } else {
        "unchanged in"
    };
    let path = workspace::ebpf_object();
    let words = watch.words();
    output::progress(format_args!(
        "kernel programs: {what} {} ({words})",
        path.display()
    ));
    Ok(())
}

fn compile(toolchain: &Toolchain, options: Options) -> anyhow::Result<()> {
    let mut cargo = Command::new(&toolchain.compiler.cargo);
    cargo.current_dir(workspace::root());
    for (name, _) in std::env::vars_os() {
        if is_foreign(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    cargo
        .args(["build", "--release", "--locked", "--package", PACKAGE])
        .args(["--target", TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(build_dir())
        .env("RUSTC", &toolchain.compiler.rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags())
        .env("PATH", path_with(&toolchain.linker)?);
    if !toolchain.compiler.version.is_nightly() {
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    if options.log {
        cargo.args(["--features", "log"]);
    }
    command::run("building the kernel programs", &mut cargo, Show::Heartbeat)?;
    Ok(())
}

/// Tells whether a variable would bend the inner build: what cargo and rustup set for this
/// process, and the caller's compiler settings, which are meant for the host.
fn is_foreign(name: &str) -> bool {
    const KEPT: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_TERM_",
    ];
    const DROPPED: [&str; 7] = [
        "CARGO",
        "RUSTUP_TOOLCHAIN",
        "RUSTC",
        "RUSTFLAGS",
        "RUSTDOC",
        "LD_LIBRARY_PATH",
        "OUT_DIR",
    ];
    let kept = KEPT.iter().any(|prefix| name.starts_with(prefix));
    let dropped = name.starts_with("CARGO_") || name.starts_with("RUSTC_");
    !kept && (dropped || DROPPED.contains(&name))
}

/// `--btf` derives the kernel's type information from the debug information.
fn rustflags() -> String {
    let arch = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
    [arch.as_str(), "-Cdebuginfo=2", "-Clink-arg=--btf"].join("\u{1f}")
}

/// The search path, with the chosen linker before any other.
fn path_with(linker: &Path) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = linker.parent().map(Path::to_path_buf).into_iter();
    std::env::join_paths(dirs.chain(std::env::split_paths(&path)))
        .context("failed to put bpf-linker on the search path")
}

fn build_dir() -> PathBuf {
    workspace::root().join("target/ebpf")
}

/// Strips the built object and puts it where the agent looks; tells whether it changed. An equal
/// object is not written again, so that the agent is not built again.
fn publish(toolchain: &Toolchain) -> anyhow::Result<bool> {
    let built = build_dir().join(TARGET).join("release").join(PACKAGE);
    let stripped = built.with_extension("stripped");
    fs::copy(&built, &stripped).with_context(|| format!("failed to copy {}", built.display()))?;
    strip(&stripped, toolchain)?;
    let bytes =
        fs::read(&stripped).with_context(|| format!("failed to read {}", stripped.display()))?;
    if bytes.is_empty() {
        bail!("the build left an empty object in {}", built.display());
    }
    write_if_changed(&workspace::ebpf_object(), &bytes)
}

/// Removes the debug information, which the kernel does not read; BTF stays. Without the tool the
/// object is merely larger.
fn strip(object: &Path, toolchain: &Toolchain) -> anyhow::Result<()> {
    let major = toolchain.compiler.version.llvm.major;
    let programs = [
        format!("/usr/lib/llvm-{major}/bin/llvm-strip"),
        format!("llvm-strip-{major}"),
        "llvm-strip".to_owned(),
    ];
    for program in programs {
        let runs = Command::new(&program).arg("--version").output();
        if runs.is_ok_and(|output| output.status.success()) {
            let mut command = Command::new(program);
            command.arg("-g").arg(object);
            command::run(
                "stripping the kernel programs",
                &mut command,
                Show::Heartbeat,
            )?;
            return Ok(());
        }
    }
    output::progress("found no llvm-strip: the object keeps its debug information");
    Ok(())
}

fn write_if_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("failed to create {}", dir.display()))?;
    }
    // A reader never sees half an object.
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes).with_context(|| format!("failed to write {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("failed to write {}", path.display()))?;
    Ok(true)
}

fn fingerprint_path() -> PathBuf {
    workspace::ebpf_object().with_extension("fingerprint.json")
}

fn read_fingerprint() -> Option<Fingerprint> {
    serde_json::from_slice(&fs::read(fingerprint_path()).ok()?).ok()
}

fn write_fingerprint(fingerprint: &Fingerprint) -> anyhow::Result<()> {
    let json = serde_json::to_vec_pretty(fingerprint).context("failed to encode a fingerprint")?;
    write_if_changed(&fingerprint_path(), &json)?;
    Ok(())
}

fn hash_object() -> anyhow::Result<u64> {
    hash_files(&[workspace::ebpf_object()])
}

fn hash_sources() -> anyhow::Result<u64> {
    let root = workspace::root();
    let mut files = vec![root.join("Cargo.lock"), root.join("Cargo.toml")];
    collect_files(&root.join("agent-ebpf"), &mut files)?;
    files.sort();
    hash_files(&files)
}

fn collect_files(dir: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let context = || format!("failed to list {}", dir.display());
    for entry in fs::read_dir(dir).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_dir() {
            collect_files(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Hashes names and contents.
fn hash_files(files: &[PathBuf]) -> anyhow::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for path in files {
        let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
        // Relative, so that clones can share a target folder.
        let name = path.strip_prefix(workspace::root()).unwrap_or(path);
        hasher.write(name.as_os_str().as_encoded_bytes());
        hasher.write_usize(bytes.len());
        hasher.write(&bytes);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_build_keeps_registries_and_drops_compiler_settings() {
        for kept in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_HTTP_PROXY",
            "RUSTUP_HOME",
            "PATH",
        ] {
            assert!(!is_foreign(kept), "{kept}");
        }
        for dropped in [
            "CARGO",
            "CARGO_BUILD_RUSTFLAGS",
            "RUSTFLAGS",
            "RUSTC_WRAPPER",
            "RUSTC",
        ] {
            assert!(is_foreign(dropped), "{dropped}");
        }
    }

    #[test]
    fn equal_object_is_not_written_again() {
        let dir = std::env::temp_dir().join(format!("xtask-build-ebpf-{}", std::process::id()));
        let path = dir.join("object");
        assert!(write_if_changed(&path, b"one").unwrap());
        assert!(!write_if_changed(&path, b"one").unwrap());
        assert!(write_if_changed(&path, b"two").unwrap());
        assert_ne!(hash_files(std::slice::from_ref(&path)).unwrap(), 0);
        fs::remove_dir_all(dir).unwrap();
    }
}
