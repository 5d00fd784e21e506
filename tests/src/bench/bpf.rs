//! What the kernel programs and maps of a process cost: their memory, and the time they ran. Must
//! leave the kernel's accounting as it was.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use anyhow::Context as _;

use super::process::{descriptors, value};

/// The command of bpf(2), from include/uapi/linux/bpf.h.
const BPF_ENABLE_STATS: libc::c_long = 32;
/// The one kind of accounting there is: BPF_STATS_RUN_TIME.
const RUN_TIME: u32 = 0;

/// Makes the kernel account the run time of programs for as long as the value lives.
#[derive(Debug)]
pub(super) struct RunTimeAccounting {
    _switch: OwnedFd,
}

impl RunTimeAccounting {
    /// Switches it on; needs root and Linux 5.8.
    pub(super) fn switch_on() -> anyhow::Result<Self> {
        let attributes = [RUN_TIME; 1];
        // SAFETY: bpf(2) reads as many bytes as it is told from an array that outlives the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_ENABLE_STATS,
                attributes.as_ptr(),
                size_of_val(&attributes),
            )
        };
        let fd = i32::try_from(fd)?;
        if fd < 0 {
            return Err(io::Error::last_os_error())
                .context("failed to switch on the accounting of BPF run time");
        }
        // SAFETY: the kernel has just given this descriptor to nobody else.
        let switch = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { _switch: switch })
    }
}

/// What a process's programs and maps cost so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Cost {
    pub programs: u64,
    pub maps: u64,
    pub map_bytes: u64,
    pub run_ns: u64,
    pub runs: u64,
}

/// Reads the costs of all programs and maps that a process has open.
pub(super) fn cost(pid: u32) -> anyhow::Result<Cost> {
    Ok(sum(&descriptors(pid)?))
}

fn sum(descriptors: &[String]) -> Cost {
    let mut maps = BTreeMap::new();
    let mut programs = BTreeMap::new();
    for text in descriptors {
        // A link's text has a prog_id too, but no type.
        if let (Some(id), Some(_)) = (value(text, "prog_id:"), value(text, "prog_type:")) {
            let ran = (value(text, "run_time_ns:"), value(text, "run_cnt:"));
            programs.insert(id, (ran.0.unwrap_or(0), ran.1.unwrap_or(0)));
        }
        if let (Some(id), Some(bytes)) = (value(text, "map_id:"), value(text, "memlock:")) {
            maps.insert(id, bytes);
        }
    }
    Cost {
        programs: programs.len() as u64,
        maps: maps.len() as u64,
        map_bytes: maps.values().sum(),
        run_ns: programs.values().map(|ran| ran.0).sum(),
        runs: programs.values().map(|ran| ran.1).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_program_and_map_once() {
        let program = "prog_type:\t26\nprog_jited:\t1\nmemlock:\t4096\nprog_id:\t7\nrun_time_ns:\t500\nrun_cnt:\t2\n";
        let map = "map_type:\t27\nmemlock:\t270336\nmap_id:\t3\nfrozen:\t0\n";
        let link = "link_type:\traw_tracepoint\nlink_id:\t5\nprog_id:\t7\n";
        let texts = [program, program, map, map, link, "pos:\t0\n"].map(str::to_owned);
        assert_eq!(
            sum(&texts),
            Cost {
                programs: 1,
                maps: 1,
                map_bytes: 270_336,
                run_ns: 500,
                runs: 2,
            }
        );
    }
}
