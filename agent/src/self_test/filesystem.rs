//! The check of file systems that fill up.

use std::{fs::File, io::Write as _};

use anyhow::{Context as _, bail};
use inquest_proto::v1::signal::Body;
use rustix::{
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::{NanosleepRelativeResult, Timespec, UnshareFlags, nanosleep},
};

use super::{
    actor::Actor,
    check::{Check, NotPossible, Place},
};

/// A directory that is there in whatever image, over which the file system is mounted: nobody else sees it.
const MOUNT_POINT: &str = "/sys";
const SIZE_BYTES: u64 = 1 << 20;
/// How long it stays full: a round over all containers, should refused writes not be counted.
const KEPT: Timespec = Timespec {
    tv_sec: 22,
    tv_nsec: 0,
};
/// Written at a time.
static STEP: [u8; 64 << 10] = [1; 64 << 10];

pub(super) const CHECK: Check = Check {
    name: "filesystem_usage",
    probe: Some("filesystem_samples"),
    expects: "a full file system in a mount namespace of its own",
    place: Place::CGROUP,
    act: fill_a_file_system,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::FilesystemUsage(usage)) => {
            deed.is_home(signal)
                && usage.mount_point == MOUNT_POINT
                && usage.size_bytes == SIZE_BYTES
                && usage.available_bytes == 0
        }
        _ => false,
    },
};

fn fill_a_file_system(_: &Actor) -> anyhow::Result<()> {
    // SAFETY: a mount namespace of its own leaves memory and descriptors shared as they are.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(|error| NotPossible(format!("no mount namespace can be made: {error}")))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).context("failed to keep its mounts to itself")?;
    let size = c"size=1m";
    mount(
        "tmpfs",
        MOUNT_POINT,
        "tmpfs",
        MountFlags::empty(),
        Some(size),
    )
    .map_err(|error| NotPossible(format!("no tmpfs can be mounted: {error}")))?;
    let mut file = File::create(format!("{MOUNT_POINT}/file")).context("failed to make a file")?;
    for _ in 0..=SIZE_BYTES / STEP.len() as u64 {
        if let Err(error) = file.write_all(&STEP) {
            if error.raw_os_error() != Some(Errno::NOSPC.raw_os_error()) {
                return Err(error).context("failed to fill the file system");
            }
            return match nanosleep(&KEPT) {
                NanosleepRelativeResult::Err(error) => Err(error).context("failed to wait"),
                _ => Ok(()),
            };
        }
    }
    bail!("a file system of {SIZE_BYTES} bytes took more")
}
