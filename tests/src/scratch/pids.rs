//! The limit of tasks of a scratch cgroup. Must not change one that was not made here.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Sets the limit.
pub(super) fn limit(dir: &Path, max: u32) -> anyhow::Result<()> {
    let file = dir.join("pids.max");
    fs::write(&file, max.to_string()).with_context(|| {
        let file = file.display();
        format!("failed to write {max} to {file}\nnext: is the pids controller enabled there?")
    })
}
