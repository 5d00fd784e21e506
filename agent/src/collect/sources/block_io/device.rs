//! Names block devices. Must not open them.

use std::fs;

/// Bits of the minor number in a device's number.
const MINOR_BITS: u32 = 20;

/// Returns `device` as `major:minor`.
pub(super) fn number(device: u32) -> String {
    let minor = device & ((1 << MINOR_BITS) - 1);
    format!("{}:{minor}", device >> MINOR_BITS)
}

/// Returns its name below /dev, empty when it is gone.
pub(super) fn name(device: u32) -> String {
    let uevent = fs::read_to_string(format!("/sys/dev/block/{}/uevent", number(device)));
    name_in(&uevent.unwrap_or_default()).to_owned()
}

fn name_in(uevent: &str) -> &str {
    let mut lines = uevent.lines();
    lines
        .find_map(|line| line.strip_prefix("DEVNAME="))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_a_number_and_reads_a_name() {
        assert_eq!(number(259 << 20 | 3), "259:3");
        assert_eq!(
            name_in("MAJOR=259\nMINOR=3\nDEVNAME=nvme0n1p2\nDEVTYPE=partition\n"),
            "nvme0n1p2"
        );
        assert_eq!(name_in("MAJOR=7\n"), "");
        assert_eq!(name(u32::MAX), "");
    }

    #[test]
    fn names_the_disks_of_this_machine() {
        let disks: Vec<_> = fs::read_dir("/sys/block")
            .into_iter()
            .flatten()
            .filter_map(|disk| {
                let disk = disk.ok()?;
                let (major, minor) = disk_number(&disk.path())?;
                Some((
                    disk.file_name().into_string().ok()?,
                    major << MINOR_BITS | minor,
                ))
            })
            .collect();
        if disks.is_empty() {
            testkit::skip("this machine shows no disks in /sys/block");
        }
        for (expected, device) in disks {
            // The kernel writes "!" for the "/" of names such as cciss/c0d0.
            assert_eq!(name(device).replace('/', "!"), expected);
        }
    }

    fn disk_number(disk: &std::path::Path) -> Option<(u32, u32)> {
        let text = fs::read_to_string(disk.join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}
