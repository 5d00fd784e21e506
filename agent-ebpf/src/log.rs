//! Log lines for the developers of probes: compiled out without feature `log`.

/// Logs through the map that the agent reads with its feature `probe-log`.
#[cfg(feature = "log")]
macro_rules! probe_log {
    ($ctx:expr, $($argument:tt)+) => {
        aya_log_ebpf::debug!($ctx, $($argument)+)
    };
}

/// Uses its arguments and does nothing.
#[cfg(not(feature = "log"))]
macro_rules! probe_log {
    ($ctx:expr, $($argument:expr),+) => {
        let _ = ($ctx, $($argument),+);
    };
}
