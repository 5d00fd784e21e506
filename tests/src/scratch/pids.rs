//! The limit of tasks of a scratch cgroup. Must not change one that was not made here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::hierarchy::v1_mount_of;

/// Where the pids controller has a hierarchy of its own, if it has one.
pub(super) fn v1_mount() -> anyhow::Result<Option<PathBuf>> {
    let mounts = super::read(Path::new("/proc/self/mountinfo"))?;
    Ok(v1_mount_of(&mounts, "pids"))
}

/// Sets the limit.
pub(super) fn limit(dir: &Path, max: u32) -> anyhow::Result<()> {
    let file = dir.join("pids.max");
    fs::write(&file, max.to_string()).with_context(|| {
        let file = file.display();
        format!("failed to write {max} to {file}\nnext: is the pids controller enabled there?")
    })
}
