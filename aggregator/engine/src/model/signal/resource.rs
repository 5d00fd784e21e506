//! What cgroups and file systems use of what they may. Must not say what is too much.

use super::Process;
use crate::model::Timestamp;

/// A sample of one cgroup; counters are over the window, and absent where the node does not tell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResourceUsage {
    pub start: Timestamp,
    pub memory_bytes: Option<u64>,
    pub memory_max_bytes: Option<u64>,
    /// Of the last 10 minutes at most.
    pub memory_slope_bytes_per_second: Option<i64>,
    /// Until `memory_max_bytes` at that slope.
    pub memory_seconds_left: Option<u64>,
    pub memory_high_events: Option<u64>,
    pub memory_max_events: Option<u64>,
    pub oom_events: Option<u64>,
    pub oom_kills: Option<u64>,
    pub cpu_usage_ns: Option<u64>,
    /// CPU quota in thousandths of a CPU.
    pub cpu_max_millis: Option<u64>,
    pub cpu_periods: Option<u64>,
    pub cpu_throttled_periods: Option<u64>,
    pub cpu_throttled_ns: Option<u64>,
    /// Runnable, but waiting for a CPU.
    pub run_queue_delay_ns: Option<u64>,
    pub cpu_pressure: Option<Pressure>,
    pub memory_pressure: Option<Pressure>,
    pub io_pressure: Option<Pressure>,
    pub pids: Option<u64>,
    pub pids_max: Option<u64>,
    pub pids_max_events: Option<u64>,
    /// Of the process with the largest share of its limit.
    pub open_files: Option<u64>,
    pub open_files_max: Option<u64>,
    pub open_files_process: Option<Process>,
}

/// Shares of the last 10 s in which some, or all, tasks waited; in thousandths.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pressure {
    pub some_permille: u32,
    pub full_permille: u32,
}

/// A file system that a cgroup's processes have mounted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FilesystemUsage {
    pub start: Timestamp,
    pub mount_point: String,
    /// "major:minor".
    pub device: String,
    pub fs_type: String,
    pub size_bytes: u64,
    pub available_bytes: u64,
    /// 0 where the file system does not count inodes.
    pub inodes: u64,
    pub inodes_free: u64,
    pub read_only: bool,
    /// It was writable when last looked at.
    pub became_read_only: bool,
    /// Calls that failed with ENOSPC, EDQUOT or EROFS on it in the window.
    pub failed_writes: u64,
}

/// Requests of one cgroup, or of the whole node, to one block device in a window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BlockIo {
    pub start: Timestamp,
    /// "major:minor".
    pub device: String,
    pub device_name: String,
    pub requests: u64,
    pub bytes: u64,
    pub latency_sum_ns: u64,
    pub latency_max_ns: u64,
    pub errors: u64,
    /// The last error, for example `I/O`.
    pub last_error: String,
}
