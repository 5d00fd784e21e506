//! How much memory the agent may take, and who says so: the configuration, or the limit of the agent's own cgroup, which
//! comes first when it is lower. Must not measure anything.

use std::{fmt, path::Path};

use crate::{collect::cgroupfs::CgroupFs, config::ByteSize};

/// Part of its own cgroup's limit that the agent takes at most. The rest is for what the cgroup is charged besides: page
/// cache of the spool, buffers of sockets, the kernel's own structs.
const OWN_LIMIT_PART: (u64, u64) = (3, 4);

/// What the agent's memory may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemoryBound {
    configured: u64,
    /// The lowest limit of the agent's own cgroup and those above it, if there is one.
    own_limit: Option<u64>,
}

impl MemoryBound {
    /// Returns the bound of a configuration, whatever the agent's own cgroup allows.
    pub fn of_configuration(bytes: u64) -> Self {
        Self {
            configured: bytes,
            own_limit: None,
        }
    }

    /// Returns that of a configuration, or less when the agent's own cgroup, found below `cgroup_root`, allows less. A limit
    /// that the agent cannot see, as its cgroup file system does not show its own cgroup, is none.
    pub fn find(configured: u64, cgroup_root: &Path) -> Self {
        let cgroups = CgroupFs::find(cgroup_root);
        let path = cgroups.memberships().of(std::process::id());
        Self {
            configured,
            own_limit: path.and_then(|path| lowest_limit(&cgroups, &path)),
        }
    }

    /// Returns the bytes of process and maps together.
    pub fn bytes(&self) -> u64 {
        self.configured.min(self.own_part().unwrap_or(u64::MAX))
    }

    fn own_part(&self) -> Option<u64> {
        let (numerator, denominator) = OWN_LIMIT_PART;
        Some(self.own_limit? / denominator * numerator)
    }
}

/// Says who set it.
impl fmt::Display for MemoryBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.own_limit {
            Some(limit) if self.bytes() < self.configured => write!(
                f,
                "three quarters of {}, the limit of the agent's own cgroup, as that is less than `memory.max_size` ({})",
                ByteSize(limit),
                ByteSize(self.configured)
            ),
            _ => write!(f, "`memory.max_size` ({})", ByteSize(self.configured)),
        }
    }
}

/// Returns the lowest limit from the cgroup at `path` upwards. A cgroup without one has a file that says so, the root of
/// v2 has none.
fn lowest_limit(cgroups: &CgroupFs, path: &str) -> Option<u64> {
    let file = if cgroups.is_unified() {
        "memory.max"
    } else {
        "memory.limit_in_bytes"
    };
    let limits = Path::new(path).ancestors().filter_map(|path| {
        let text = cgroups.read(path.to_str()?, file)?;
        text.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_lowest_limit_on_the_way_up_comes_before_the_configuration() {
        for (unified, limits, expected, words) in [
            (
                true,
                ["max", "max", "max"],
                96 * MIB,
                "`memory.max_size` (96MiB)",
            ),
            (
                true,
                ["max", "134217728", "268435456"],
                96 * MIB,
                "`memory.max_size` (96MiB)",
            ),
            (
                true,
                ["max", "67108864", "max"],
                48 * MIB,
                "three quarters of 64MiB",
            ),
            (
                true,
                ["max", "max", "104857600"],
                75 * MIB,
                "three quarters of 100MiB",
            ),
            (
                false,
                ["9223372036854771712", "9223372036854771712", "67108864"],
                48 * MIB,
                "three quarters of 64MiB",
            ),
        ] {
            let root = tempfile::tempdir().unwrap();
            let own = root.path().join("pods/agent");
            fs::create_dir_all(&own).unwrap();
            let file = if unified {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            };
            let levels = [root.path(), own.parent().unwrap(), &own];
            for (level, limit) in levels.into_iter().zip(limits) {
                fs::write(level.join(file), format!("{limit}\n")).unwrap();
            }
            let cgroups = CgroupFs::at(root.path(), unified);
            let bound = MemoryBound {
                configured: 96 * MIB,
                own_limit: lowest_limit(&cgroups, "/pods/agent"),
            };
            assert_eq!(bound.bytes(), expected, "{limits:?}");
            assert!(bound.to_string().contains(words), "{bound}");
        }
    }

    #[test]
    fn without_a_cgroup_file_system_the_configuration_holds() {
        let bound = MemoryBound::find(7 * MIB, Path::new("/nonexistent"));
        assert_eq!(bound, MemoryBound::of_configuration(7 * MIB));
    }
}
