//! Requests to block devices: those under way, and what those that ended come to.

use crate::Generation;

/// A request that a device works on. Keyed by a number of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlockRequest {
    /// CLOCK_MONOTONIC ns when the device was given it.
    pub issued_ktime_ns: u64,
    /// The cgroup that it is for, 0 when that is not known.
    pub cgroup: u64,
}

/// By what ended requests are counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BlockIoKey {
    /// The cgroup that they were for, 0 when that is not known.
    pub cgroup: u64,
    /// Of the whole disk: the major number from bit 20 on, the minor one below.
    pub device: u32,
    /// As [`Generation`] has it.
    pub generation: u32,
}

impl Generation for BlockIoKey {
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// What was counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BlockIoCount {
    /// Requests that ended.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their time at the device, added up.
    pub latency_sum_ns: u64,
    /// The longest of these.
    pub latency_max_ns: u64,
    /// Those that failed.
    pub errors: u64,
    /// How the last of these did: a negated errno on old kernels and plain tracepoints, else a `blk_status_t`.
    pub last_error: i32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<BlockRequest>() == 16);
const _: () = assert!(size_of::<BlockIoKey>() == 16);
const _: () = assert!(size_of::<BlockIoCount>() == 48);
