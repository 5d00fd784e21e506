//! Reads which file systems a process has mounted where. Must not look into them.

use std::fs;

/// The mounts of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct MountTable {
    mounts: Vec<Mount>,
}

/// A line of mountinfo.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Mount {
    /// As `8:1`.
    device: String,
    /// It shows the file system from its root, not from some directory below.
    whole: bool,
    place: String,
}

impl MountTable {
    /// Reads those of process `pid`, and where it has ended those of the node's first process.
    pub(super) fn of(pid: u32) -> Self {
        let read = |pid: u32| fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok();
        let listing = read(pid).filter(|listing| !listing.is_empty());
        Self::parse(&listing.or_else(|| read(1)).unwrap_or_default())
    }

    fn parse(listing: &str) -> Self {
        Self {
            mounts: listing.lines().filter_map(Mount::parse).collect(),
        }
    }

    /// Returns where the file system on `device` is mounted: the one place that it is, or that shows it whole. `None` when
    /// there are several such.
    pub(super) fn mount_point(&self, device: &str) -> Option<&str> {
        let mounts: Vec<_> = self
            .mounts
            .iter()
            .filter(|mount| mount.device == device)
            .collect();
        let whole: Vec<_> = mounts.iter().copied().filter(|mount| mount.whole).collect();
        match (whole.as_slice(), mounts.as_slice()) {
            ([mount], _) | ([], [mount]) => Some(&mount.place),
            _ => None,
        }
    }
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ').skip(2);
        let (device, root, place) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            device: device.to_owned(),
            whole: root == "/",
            place: unescape(place),
        })
    }
}

/// The kernel writes space, tab, line end and backslash as three octal digits.
fn unescape(path: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    escapes
        .into_iter()
        .fold(path.to_owned(), |path, (escape, character)| {
            path.replace(escape, character)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
30 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 30 0:40 / /data\\040disk rw - tmpfs tmpfs rw,size=1024k
32 30 8:1 /var/lib/x /etc/hosts rw - ext4 /dev/sda1 rw
33 30 8:17 /a /one rw - ext4 /dev/sdb1 rw
34 30 8:17 /b /two rw - ext4 /dev/sdb1 rw
35 30 8:33 /c /three rw - ext4 /dev/sdc1 rw
";

    #[test]
    fn finds_the_place_where_a_file_system_is_whole_or_the_only_one() {
        let mounts = MountTable::parse(LISTING);
        for (device, expected) in [
            ("8:1", Some("/")),
            ("0:40", Some("/data disk")),
            ("8:17", None),
            ("8:33", Some("/three")),
            ("9:9", None),
            ("", None),
        ] {
            assert_eq!(mounts.mount_point(device), expected, "{device}");
        }
    }

    #[test]
    fn tells_nothing_of_lines_that_are_none() {
        assert_eq!(
            MountTable::parse("\nnonsense\n1 2 3").mount_point("3"),
            None
        );
    }
}
