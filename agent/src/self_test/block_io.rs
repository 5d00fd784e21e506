//! The check of requests to block devices: one that is served and one that fails, at a loop device over memory of its own.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::{
            fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
            io::RawFd,
        },
    },
};

use anyhow::{Context as _, ensure};
use inquest_proto::v1::signal::Body;
use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use super::{
    actor::tell,
    check::{Check, NotPossible, Place},
};

const LOOP_CONTROL: &str = "/dev/loop-control";
/// `include/uapi/linux/loop.h`
const LOOP_SET_FD: libc::Ioctl = 0x4c00;
const LOOP_CLR_FD: libc::Ioctl = 0x4c01;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
/// Another process may take a free device first.
const MAX_ATTEMPTS: usize = 10;

const DISK_BYTES: u64 = 1 << 20;
/// Of a request; what a device without the page cache takes.
const BLOCK_BYTES: usize = 4096;

/// Memory as requests without the page cache need it.
#[repr(align(4096))]
struct Block([u8; BLOCK_BYTES]);

pub(super) const CHECK: Check = Check {
    name: "block_io",
    probe: Some("block_rq_complete"),
    expects: "a request to a disk that failed, and one that did not",
    place: Place::CGROUP,
    act: |_| {
        let memory = memfd_create("disk", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .map_err(|error| NotPossible(format!("no memory for a disk: {error}")))?;
        ftruncate(&memory, DISK_BYTES).context("failed to size the disk")?;
        let disk = LoopDisk::over(memory.as_fd().as_raw_fd())?;
        tell("device", disk.number()?)?;
        let mut block = Block([0; BLOCK_BYTES]);
        disk.file
            .read_exact_at(&mut block.0, 0)
            .context("failed to read from the disk")?;
        // What is written from now on, the memory has no room for, and must not grow.
        ftruncate(&memory, 0).context("failed to shorten the disk")?;
        fcntl_add_seals(&memory, SealFlags::GROW).context("failed to seal the disk")?;
        let written = disk.file.write_all_at(&block.0, 0);
        ensure!(written.is_err(), "a write beyond the end succeeded");
        Ok(())
    },
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::BlockIo(told)) => {
            deed.is_home(signal)
                && told.device == deed.fact("device")
                && told.errors > 0
                && told.requests > told.errors
                && told.latency_sum_ns > 0
                && !told.last_error.is_empty()
        }
        _ => false,
    },
};

/// A loop device of this process's own, let go of when dropped.
struct LoopDisk {
    file: File,
}

impl LoopDisk {
    fn over(backing: RawFd) -> anyhow::Result<Self> {
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open(LOOP_CONTROL)
            .map_err(|error| NotPossible(format!("{LOOP_CONTROL}: {error}")))?;
        let mut failure = None;
        for _ in 0..MAX_ATTEMPTS {
            match Self::try_over(&control, backing) {
                Ok(disk) => return Ok(disk),
                Err(error) => failure = Some(error),
            }
        }
        let why = failure.map_or_else(String::new, |error| error.to_string());
        Err(NotPossible(format!("no loop device can be had: {why}")).into())
    }

    fn try_over(control: &File, backing: RawFd) -> io::Result<Self> {
        let number = ioctl(control, LOOP_CTL_GET_FREE, 0)?;
        let direct = OFlags::DIRECT.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(direct)
            .open(format!("/dev/loop{number}"))?;
        ioctl(&file, LOOP_SET_FD, backing)?;
        Ok(Self { file })
    }

    /// As signals spell it.
    fn number(&self) -> anyhow::Result<String> {
        let metadata = self.file.metadata().context("failed to look at the disk")?;
        ensure!(metadata.file_type().is_block_device(), "it is no disk");
        let device = metadata.rdev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        Ok(format!("{major}:{minor}"))
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // The end of the process lets go of the memory, and without it the device fails for good.
        drop(ioctl(&self.file, LOOP_CLR_FD, 0));
    }
}

fn ioctl(file: &File, request: libc::Ioctl, argument: RawFd) -> io::Result<i32> {
    // SAFETY: these requests take a number, and no pointer.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), request, libc::c_long::from(argument)) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}
