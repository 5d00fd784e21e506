//! What a process costs, by the kernel's accounts. Reads only.

use std::path::Path;

use anyhow::Context as _;

/// CPU time that all threads of a process have used since it started, those that ended included.
pub(super) fn cpu_ns(pid: u32) -> anyhow::Result<u64> {
    let mut clock: libc::clockid_t = 0;
    // SAFETY: the only pointer is to a local that outlives the call.
    let failed = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) };
    anyhow::ensure!(
        failed == 0,
        "process {pid} has no CPU clock: error {failed}"
    );
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the only pointer is to a local that outlives the call.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
    anyhow::ensure!(failed == 0, "failed to read the CPU clock of process {pid}");
    let seconds = u64::try_from(time.tv_sec)?;
    let nanos = u64::try_from(time.tv_nsec)?;
    Ok(seconds * 1_000_000_000 + nanos)
}

/// Memory of a process that is resident, shared pages included.
pub(super) fn rss_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let kib = value(&text, "VmRSS:").with_context(|| format!("no VmRSS in {path}"))?;
    Ok(kib * 1024)
}

/// The kernel's description of each open descriptor of a process.
pub(super) fn descriptors(pid: u32) -> anyhow::Result<Vec<String>> {
    let dir = format!("/proc/{pid}/fdinfo");
    let entries = std::fs::read_dir(&dir).with_context(|| format!("failed to read {dir}"))?;
    // One that was closed meanwhile is no error.
    let texts = entries.filter_map(|entry| read(&entry.ok()?.path()));
    Ok(texts.collect())
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The first number after a key of a `key: value` text.
pub(super) fn value(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_of_the_kernels_texts() {
        let text = "Name:\tx\nVmRSS:\t   12345 kB\nmemlock:\t4096\n";
        assert_eq!(value(text, "VmRSS:"), Some(12345));
        assert_eq!(value(text, "memlock:"), Some(4096));
        assert_eq!(value(text, "Name:"), None);
    }

    #[test]
    fn own_cpu_time_grows_with_work() {
        let pid = std::process::id();
        let before = cpu_ns(pid).unwrap();
        while cpu_ns(pid).unwrap() == before {
            std::hint::black_box(rss_bytes(pid).unwrap());
        }
    }
}
