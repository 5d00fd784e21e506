//! Reads which file systems a process has mounted, from its mountinfo. Must not touch the file systems themselves.

use std::{collections::BTreeMap, fs};

/// Mounts read of one process; a node with very many pods has some thousands.
const MAX_MOUNTS: usize = 4096;
/// Kinds of file systems that hold no files of anyone's, or that are made full and read-only.
const IGNORED: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cramfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "romfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];
/// Single files that a runtime mounts into every container, from the node's own disk.
const SINGLE_FILES: &[&str] = &[
    "/dev/termination-log",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
];

/// One mounted file system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mount {
    /// "major:minor".
    pub(super) device: String,
    /// Below the process's root.
    pub(super) point: String,
    pub(super) fs_type: String,
}

/// Returns the file systems of process `pid`, each device once, `None` when it has ended.
pub(super) fn of_process(pid: u32) -> Option<Vec<Mount>> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
    Some(parse(&text))
}

/// Parses a mountinfo. Of several mounts of one device the one nearest to the root stands for it.
fn parse(text: &str) -> Vec<Mount> {
    let mut by_point: BTreeMap<String, Mount> = BTreeMap::new();
    for mount in text.lines().take(MAX_MOUNTS).filter_map(parse_line) {
        // What is mounted later hides what was there.
        by_point.insert(mount.point.clone(), mount);
    }
    let mut by_device: BTreeMap<String, Mount> = BTreeMap::new();
    for mount in by_point.into_values().filter(is_of_interest) {
        let shown = by_device.get(&mount.device);
        if shown.is_none_or(|shown| rank(&mount) < rank(shown)) {
            by_device.insert(mount.device.clone(), mount);
        }
    }
    by_device.into_values().collect()
}

fn is_of_interest(mount: &Mount) -> bool {
    !IGNORED.contains(&mount.fs_type.as_str())
}

/// Prefers what a person would name: no single file, and the shortest path.
fn rank(mount: &Mount) -> (bool, usize) {
    let is_file = SINGLE_FILES.contains(&mount.point.as_str());
    (is_file, mount.point.len())
}

/// Parses a line such as `36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw`.
fn parse_line(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let device = mount.next()?;
    let point = mount.nth(1)?;
    Some(Mount {
        device: device.to_owned(),
        point: unescape(point),
        fs_type: filesystem.split(' ').next()?.to_owned(),
    })
}

/// The kernel writes space, tab, newline and backslash as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let (Some(code), Some(left)) = (code, after.get(3..)) {
            plain.push(char::from(code));
            rest = left;
        } else {
            plain.push('\\');
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTAINER: &str = "\
1 0 0:60 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
2 1 0:61 / /proc rw - proc proc rw
3 1 0:62 / /dev rw - tmpfs tmpfs rw,size=65536k
4 1 8:1 /var/lib/kubelet/pods/x/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw
5 1 8:1 /var/lib/kubelet/pods/x/volumes/empty /cache rw - ext4 /dev/sda1 rw
6 1 0:63 / /my\\040data rw shared:4 - nfs4 server:/data rw,vers=4.2
7 1 0:64 / /sys/fs/cgroup ro - cgroup2 cgroup rw
8 1 8:2 / /hidden rw - ext4 /dev/sda2 rw
9 1 0:65 / /hidden rw - tmpfs tmpfs rw
";

    #[test]
    fn names_each_device_once_by_where_a_person_would_look() {
        let found = parse(CONTAINER);
        let found: Vec<(&str, &str, &str)> = found
            .iter()
            .map(|mount| {
                (
                    mount.device.as_str(),
                    mount.point.as_str(),
                    mount.fs_type.as_str(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("0:60", "/", "overlay"),
                ("0:62", "/dev", "tmpfs"),
                ("0:63", "/my data", "nfs4"),
                ("0:65", "/hidden", "tmpfs"),
                ("8:1", "/cache", "ext4"),
            ]
        );
    }

    #[test]
    fn reads_its_own_mounts() {
        let own = of_process(std::process::id()).unwrap();
        assert!(!own.is_empty());
        assert_eq!(of_process(u32::MAX), None);
    }

    #[test]
    fn puts_back_what_the_kernel_escapes() {
        for (escaped, plain) in [
            ("/plain", "/plain"),
            ("/a\\040b\\011", "/a b\t"),
            ("/a\\134b", "/a\\b"),
            ("/odd\\9", "/odd\\9"),
            ("/end\\", "/end\\"),
        ] {
            assert_eq!(unescape(escaped), plain);
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_bounded(text in "((/|\\\\| |:|-|[0-9]{1,3}|\\n| - |ext4|\\PC){0,60})") {
            prop_assert!(parse(&text).len() <= MAX_MOUNTS);
        }
    }
}
