//! The CPU quota of a scratch cgroup. Must not change one that was not made here.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Microseconds of a period, as the kernel has it unless told otherwise.
const PERIOD_US: u32 = 100_000;

/// Sets the quota, in thousandths of a CPU.
pub(super) fn limit(dir: &Path, millis: u32) -> anyhow::Result<()> {
    let quota_us = PERIOD_US / 1000 * millis;
    let v1 = dir.join("cpu.cfs_quota_us");
    let (file, value) = if v1.is_file() {
        (v1, quota_us.to_string())
    } else {
        (dir.join("cpu.max"), format!("{quota_us} {PERIOD_US}"))
    };
    fs::write(&file, &value).with_context(|| {
        let file = file.display();
        format!("failed to write {value} to {file}\nnext: is the cpu controller enabled there?")
    })
}
