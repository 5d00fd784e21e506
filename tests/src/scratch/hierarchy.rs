//! Where the memory controller is on this machine, and how v1 and v2 spell the same things. Must
//! not mount or reconfigure anything outside a scratch cgroup.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Which of the two cgroup interfaces manages memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    V1,
    V2,
}

/// The mounted hierarchy that the memory controller is in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hierarchy {
    version: Version,
    mount: PathBuf,
}

impl Hierarchy {
    /// Finds it in this process's mounts.
    pub fn find() -> anyhow::Result<Self> {
        let mounts = super::read(Path::new("/proc/self/mountinfo"))?;
        if let Some(mount) = v1_mount_of(&mounts, "memory") {
            return Ok(Self {
                version: Version::V1,
                mount,
            });
        }
        let mount = v2_mount(&mounts).context(
            "no memory cgroup hierarchy is mounted\nnext: boot with cgroup v2, or mount one",
        )?;
        let enabled = super::read(&mount.join("cgroup.subtree_control"))?;
        anyhow::ensure!(
            enabled.split_whitespace().any(|name| name == "memory"),
            "the memory controller is not enabled below {}\nnext: echo +memory > {}",
            mount.display(),
            mount.join("cgroup.subtree_control").display(),
        );
        Ok(Self {
            version: Version::V2,
            mount,
        })
    }

    /// v1 or v2.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where it is mounted.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    pub(super) fn limit_file(&self) -> &'static str {
        match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        }
    }

    pub(super) fn oom_kill_file(&self) -> &'static str {
        match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events.local",
        }
    }

    /// Lets the children of a scratch cgroup have the memory controller too; v1 always does.
    pub(super) fn delegate(&self, dir: &Path) -> anyhow::Result<()> {
        if self.version == Version::V1 {
            return Ok(());
        }
        let file = dir.join("cgroup.subtree_control");
        fs::write(&file, "+memory").with_context(|| format!("failed to write {}", file.display()))
    }
}

/// Where a controller has a v1 hierarchy.
pub(super) fn v1_mount_of(mountinfo: &str, controller: &str) -> Option<PathBuf> {
    mounts(mountinfo).find_map(|(kind, point, options)| {
        let has = kind == "cgroup" && options.split(',').any(|option| option == controller);
        has.then(|| PathBuf::from(point))
    })
}

fn v2_mount(mountinfo: &str) -> Option<PathBuf> {
    mounts(mountinfo).find_map(|(kind, point, _)| (kind == "cgroup2").then(|| PathBuf::from(point)))
}

/// File system type, mount point and super options of each mount.
fn mounts(mountinfo: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    mountinfo.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        let mut rest = rest.split(' ');
        Some((rest.next()?, point, rest.nth(1)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn finds_the_memory_controller_in_the_mounts() {
        let v1 = Some(PathBuf::from("/sys/fs/cgroup/memory"));
        let v2 = Some(PathBuf::from("/sys/fs/cgroup/unified"));
        assert_eq!(v1_mount_of(HYBRID, "memory"), v1);
        assert_eq!(v1_mount_of(HYBRID, "pids"), None);
        assert_eq!(v2_mount(HYBRID), v2);
        let cpu_only = "1 2 0:1 / /x rw - cgroup cgroup rw,cpu\nnonsense\n";
        assert_eq!(v1_mount_of(cpu_only, "memory"), None);
        assert_eq!(v2_mount(cpu_only), None);
    }
}
