//! What cgroups use, and where their threads wait. Must not judge the figures.

use inquest_engine::model::{Timestamp, signal as to};
use inquest_proto::v1;

use super::bound::{list, permille, text};
use super::{address, process};

pub(super) fn resource_usage(from: &v1::ResourceUsage, start: Timestamp) -> to::ResourceUsage {
    to::ResourceUsage {
        start,
        memory_bytes: from.memory_bytes,
        memory_max_bytes: from.memory_max_bytes,
        memory_slope_bytes_per_second: from.memory_slope_bytes_per_second.and_then(whole),
        memory_seconds_left: from
            .memory_seconds_left
            .and_then(whole)
            .and_then(|seconds| u64::try_from(seconds).ok()),
        memory_high_events: from.memory_high_events,
        memory_max_events: from.memory_max_events,
        oom_events: from.oom_events,
        oom_kills: from.oom_kills,
        cpu_usage_ns: from.cpu_usage_ns,
        cpu_max_millis: from.cpu_max_millis,
        cpu_periods: from.cpu_periods,
        cpu_throttled_periods: from.cpu_throttled_periods,
        cpu_throttled_ns: from.cpu_throttled_ns,
        run_queue_delay_ns: from.run_queue_delay_ns,
        cpu_pressure: from.cpu_pressure.map(pressure),
        memory_pressure: from.memory_pressure.map(pressure),
        io_pressure: from.io_pressure.map(pressure),
        pids: from.pids,
        pids_max: from.pids_max,
        pids_max_events: from.pids_max_events,
        open_files: from.open_files,
        open_files_max: from.open_files_max,
        open_files_process: from.open_files_process.as_ref().map(process),
    }
}

/// A whole number; absent for what is none.
fn whole(from: f64) -> Option<i64> {
    // A float beyond the range becomes the end of the range.
    from.is_finite().then(|| from.round() as i64)
}

fn pressure(from: v1::Pressure) -> to::Pressure {
    to::Pressure {
        some_permille: permille(from.some),
        full_permille: permille(from.full),
    }
}

pub(super) fn filesystem_usage(
    from: &v1::FilesystemUsage,
    start: Timestamp,
) -> to::FilesystemUsage {
    to::FilesystemUsage {
        start,
        mount_point: text(&from.mount_point),
        device: text(&from.device),
        fs_type: text(&from.fs_type),
        size_bytes: from.size_bytes,
        available_bytes: from.available_bytes,
        inodes: from.inodes,
        inodes_free: from.inodes_free,
        read_only: from.read_only,
        became_read_only: from.became_read_only,
        failed_writes: from.failed_writes,
    }
}

pub(super) fn block_io(from: &v1::BlockIo, start: Timestamp) -> to::BlockIo {
    to::BlockIo {
        start,
        device: text(&from.device),
        device_name: text(&from.device_name),
        requests: from.requests,
        bytes: from.bytes,
        latency_sum_ns: from.latency_sum_ns,
        latency_max_ns: from.latency_max_ns,
        errors: from.errors,
        last_error: text(&from.last_error),
    }
}

pub(super) fn wait_profile(from: &v1::WaitProfile, start: Timestamp) -> to::WaitProfile {
    to::WaitProfile {
        start,
        thread_time_ns: from.thread_time_ns,
        shares: list(&from.shares, wait_share),
        looked_stuck: from.looked_stuck,
        locks: list(&from.locks, contended_lock),
    }
}

fn contended_lock(from: &v1::ContendedLock) -> to::ContendedLock {
    to::ContendedLock {
        process: from.process.as_ref().map(process),
        address: from.address,
        waiters: from.waiters,
        passed: from.passed,
        other_waiters: from.other_waiters,
    }
}

fn wait_share(from: &v1::WaitShare) -> to::WaitShare {
    to::WaitShare {
        state: wait_state(from.state()),
        permille: permille(from.share),
        longest_ns: from.longest_ns,
        peer: from.peer.as_ref().map(address),
        thread: from.thread.as_ref().map(process),
        syscall: text(&from.syscall),
        threads: from.threads,
    }
}

fn wait_state(from: v1::wait_share::State) -> to::WaitState {
    use v1::wait_share::State as Wire;
    match from {
        Wire::OnCpu => to::WaitState::OnCpu,
        Wire::RunQueue => to::WaitState::RunQueue,
        Wire::Futex => to::WaitState::Futex,
        Wire::Disk => to::WaitState::Disk,
        Wire::Socket => to::WaitState::Socket,
        Wire::Sleep => to::WaitState::Sleep,
        Wire::Other => to::WaitState::Other,
        Wire::Unspecified => to::WaitState::Unknown,
    }
}
