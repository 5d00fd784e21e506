//! Where things are: the clone, what is built in it, and the cache outside it.
//!
//! Only names places; nothing here creates or reads a file.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The packages whose release binaries run the product and its harnesses. They are always built
/// in one cargo invocation: otherwise cargo unifies features per invocation and compiles shared
/// dependencies again.
pub(crate) const RELEASE_PACKAGES: [&str; 4] =
    ["inquest-agent", "inquest-aggregator", "inquest-cli", "e2e"];

/// The root of the clone.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// A release binary of this workspace.
pub(crate) fn release_binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// Where the agent's build script looks for the kernel object.
pub(crate) fn ebpf_object() -> PathBuf {
    root().join("target/bpf/inquest-agent-ebpf")
}

/// Where the output of children goes.
pub(crate) fn logs() -> PathBuf {
    root().join("target/xtask-logs")
}

/// Tools that are installed once for all clones of a user.
pub(crate) fn tool_cache() -> anyhow::Result<PathBuf> {
    cache("tools")
}

/// What is kept once for all clones of a user, under this name.
pub(crate) fn cache(name: &str) -> anyhow::Result<PathBuf> {
    let cache = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    Ok(cache.join("inquest").join(name))
}

/// Tells whether this process runs as root, which loading kernel programs needs.
pub(crate) fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
