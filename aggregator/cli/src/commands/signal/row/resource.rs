//! What cgroups use and where they wait, in one line. Must conclude nothing.

use inquest_engine::model::signal::{
    BlockIo, FilesystemUsage, ResourceUsage, WaitProfile, WaitShare, WaitState,
};

use super::{address, millis, most};
use crate::output::text;

pub(super) fn resource_usage(of: &ResourceUsage) -> String {
    let of_limit = |used: Option<u64>, limit: Option<u64>, word: fn(u64) -> String| {
        used.map(|used| match limit {
            Some(limit) => format!("{} of {}", word(used), word(limit)),
            None => word(used),
        })
    };
    let throttled = of.cpu_throttled_periods.filter(|periods| *periods > 0);
    let parts = [
        of_limit(of.memory_bytes, of.memory_max_bytes, text::bytes)
            .map(|memory| format!("memory {memory}")),
        of.cpu_usage_ns
            .map(|nanos| format!("CPU {}", millis(nanos))),
        throttled.map(|periods| format!("throttled in {}", text::count(periods, "period"))),
        of.run_queue_delay_ns
            .filter(|nanos| *nanos > 0)
            .map(|nanos| format!("waited {} for a CPU", millis(nanos))),
        of_limit(of.pids, of.pids_max, |count| count.to_string())
            .map(|pids| format!("tasks {pids}")),
        of_limit(of.open_files, of.open_files_max, |count| count.to_string())
            .map(|files| format!("open files {files}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

pub(super) fn filesystem_usage(of: &FilesystemUsage) -> String {
    let (free, size) = (text::bytes(of.available_bytes), text::bytes(of.size_bytes));
    let mut parts = vec![format!("{}: {free} of {size} free", of.mount_point)];
    if of.inodes > 0 {
        parts.push(format!("{} of {} inodes free", of.inodes_free, of.inodes));
    }
    match (of.read_only, of.became_read_only) {
        (true, true) => parts.push("became read-only".to_owned()),
        (true, false) => parts.push("read-only".to_owned()),
        (false, _) => {}
    }
    if of.failed_writes > 0 {
        parts.push(format!("{} failed", text::count(of.failed_writes, "write")));
    }
    parts.join(", ")
}

pub(super) fn block_io(of: &BlockIo) -> String {
    let name = if of.device_name.is_empty() {
        &of.device
    } else {
        &of.device_name
    };
    let mean = millis(of.latency_sum_ns.checked_div(of.requests).unwrap_or(0));
    let worst = millis(of.latency_max_ns);
    let requests = text::count(of.requests, "request");
    let errors = match of.errors {
        0 => String::new(),
        errors => format!(", {} ({})", text::count(errors, "error"), of.last_error),
    };
    format!("{name}: {requests}, {mean} each, {worst} at most{errors}")
}

pub(super) fn wait_profile(of: &WaitProfile) -> String {
    most(&of.shares, |share| share.permille, wait_share)
}

/// A state of threads in words.
pub(in crate::commands) const fn state(of: WaitState) -> &'static str {
    match of {
        WaitState::OnCpu => "on a CPU",
        WaitState::RunQueue => "waiting for a CPU",
        WaitState::Futex => "waiting for a lock or condition",
        WaitState::Disk => "waiting for a disk",
        WaitState::Socket => "waiting for a socket",
        WaitState::Sleep => "asleep",
        WaitState::Other | WaitState::Unknown => "in another state",
    }
}

fn wait_share(of: &WaitShare) -> String {
    let state = state(of.state);
    let percent = f64::from(of.permille) / 10.0;
    let peer = of
        .peer
        .as_ref()
        .map(|peer| format!(" of {}", address(peer)));
    format!("{percent:.0} % {state}{}", peer.unwrap_or_default())
}
