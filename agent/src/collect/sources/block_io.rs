//! Tells how long block devices take for the requests of each cgroup, and which fail: errors at once, what is slow every ten
//! seconds, the rest once a minute. Must not name mounts.

mod device;
mod error;

use std::{collections::HashMap, time::Duration};

use aya::Ebpf;
use inquest_agent_abi::{BlockIoCount, BlockIoKey, Counted, names};
use inquest_proto::v1::{self, BlockIo, loss::Stage, signal::Body};
use tracing::debug;

use super::super::{
    clock::ktime_now_ns,
    counted::{CountedMap, Generations},
    ring_buffer::OpenError,
    source::Source,
};
use crate::{attribute::Attributor, loss::Losses};

/// Time between two readings of the map.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long what is slow is added up.
const SLOW_WINDOW_NS: u64 = 10_000_000_000;
/// How long the rest is added up.
const WINDOW_NS: u64 = 60_000_000_000;
/// From these on, a device is slow: of a healthy disk, one seek takes about a tenth of it.
const SLOW_MEAN_NS: u64 = 50_000_000;
const SLOW_MAX_NS: u64 = 1_000_000_000;
/// Pairs of cgroup and device that are added up at once: as many as the kernel side tells apart in a second, for some time.
const MAX_SUMS: usize = 4096;

/// The map of requests, and what came of them since each pair was last told.
pub(super) struct BlockIoCounts {
    generations: Generations,
    map: CountedMap<BlockIoKey, BlockIoCount>,
    sums: HashMap<Pair, Sum>,
    /// When the generation before began to count, and when the present one did.
    began_ktime_ns: [u64; 2],
}

/// Who asked which device.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Pair {
    cgroup: u64,
    device: u32,
}

/// What was counted of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Sum {
    start_ktime_ns: u64,
    count: BlockIoCount,
}

impl BlockIoCounts {
    /// Takes the map out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf, generations: Generations) -> Result<Self, OpenError> {
        Ok(Self {
            generations,
            map: CountedMap::open(ebpf, Counted::BlockIo, names::BLOCK_IO)?,
            sums: HashMap::new(),
            began_ktime_ns: [ktime_now_ns(); 2],
        })
    }

    fn drain(&mut self, losses: &mut Losses) {
        match self.map.drain(&mut self.generations) {
            Ok(counted) => {
                for (key, count) in counted {
                    self.add(&key, &count, losses);
                }
            }
            Err(error) => debug!(%error, "failed to read the map of requests to disks"),
        }
        match self.generations.uncounted_since(Counted::BlockIo) {
            Ok(count) => losses.add(Stage::RingBuffer, "block_io_map", count),
            Err(error) => debug!(%error, "failed to read what was not counted"),
        }
    }

    fn add(&mut self, key: &BlockIoKey, count: &BlockIoCount, losses: &mut Losses) {
        let pair = Pair {
            cgroup: key.cgroup,
            device: key.device,
        };
        if self.sums.len() >= MAX_SUMS && !self.sums.contains_key(&pair) {
            return losses.add(Stage::RateLimit, "block_io", count.requests);
        }
        let [start_ktime_ns, _] = self.began_ktime_ns;
        let sum = self.sums.entry(pair).or_insert_with(|| Sum {
            start_ktime_ns,
            count: BlockIoCount::default(),
        });
        sum.add(count);
    }
}

impl Sum {
    fn add(&mut self, count: &BlockIoCount) {
        let sum = &mut self.count;
        sum.requests = sum.requests.saturating_add(count.requests);
        sum.bytes = sum.bytes.saturating_add(count.bytes);
        sum.latency_sum_ns = sum.latency_sum_ns.saturating_add(count.latency_sum_ns);
        sum.latency_max_ns = sum.latency_max_ns.max(count.latency_max_ns);
        sum.errors = sum.errors.saturating_add(count.errors);
        if count.errors > 0 {
            sum.last_error = count.last_error;
        }
    }

    /// Returns whether to tell it at `now_ns`.
    fn is_due(&self, now_ns: u64) -> bool {
        let window_ns = if self.count.errors > 0 {
            0
        } else if self.is_slow() {
            SLOW_WINDOW_NS
        } else {
            WINDOW_NS
        };
        now_ns.saturating_sub(self.start_ktime_ns) >= window_ns
    }

    fn is_slow(&self) -> bool {
        let mean_ns = self.count.latency_sum_ns / self.count.requests.max(1);
        mean_ns >= SLOW_MEAN_NS || self.count.latency_max_ns >= SLOW_MAX_NS
    }
}

impl Source for BlockIoCounts {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn read(&mut self, attributor: &mut Attributor, losses: &mut Losses) -> Vec<v1::Signal> {
        let now_ns = ktime_now_ns();
        self.drain(losses);
        self.began_ktime_ns = [self.began_ktime_ns[1], now_ns];
        let due = self.sums.extract_if(|_, sum| sum.is_due(now_ns));
        due.map(|(pair, sum)| {
            let subject = attributor.cgroup_subject(pair.cgroup, now_ns);
            let start = attributor.wall(sum.start_ktime_ns);
            let body = Body::BlockIo(block_io(pair.device, &sum.count, start));
            attributor.signal(now_ns, subject, body)
        })
        .collect()
    }
}

fn block_io(device: u32, count: &BlockIoCount, start: pbjson_types::Timestamp) -> BlockIo {
    BlockIo {
        start: Some(start),
        device: device::number(device),
        device_name: device::name(device),
        requests: count.requests,
        bytes: count.bytes,
        latency_sum_ns: count.latency_sum_ns,
        latency_max_ns: count.latency_max_ns,
        errors: count.errors,
        last_error: if count.errors > 0 {
            error::name(count.last_error)
        } else {
            String::new()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1000 * MS;

    fn count(requests: u64, latency_ms: u64, errors: u64) -> BlockIoCount {
        BlockIoCount {
            requests,
            bytes: requests * 4096,
            latency_sum_ns: requests * latency_ms * MS,
            latency_max_ns: latency_ms * MS,
            errors,
            last_error: 10,
            reserved: 0,
        }
    }

    #[test]
    fn tells_errors_at_once_what_is_slow_soon_and_the_rest_later() {
        for (count, after, expected) in [
            (count(1, 1, 1), SECOND, true),
            (count(9, 60, 0), 9 * SECOND, false),
            (count(9, 60, 0), 10 * SECOND, true),
            (count(9, 1, 0), 59 * SECOND, false),
            (count(9, 1, 0), 60 * SECOND, true),
        ] {
            let sum = Sum {
                start_ktime_ns: SECOND,
                count,
            };
            assert_eq!(sum.is_due(SECOND + after), expected, "{count:?}");
        }
    }

    #[test]
    fn one_request_that_took_long_makes_it_slow() {
        let mut sum = Sum {
            start_ktime_ns: 0,
            count: count(1000, 1, 0),
        };
        assert!(!sum.is_slow());
        sum.add(&count(1, 1500, 0));
        assert!(sum.is_slow());
    }

    #[test]
    fn adds_up_and_keeps_the_last_error() {
        let mut sum = Sum {
            start_ktime_ns: 0,
            count: BlockIoCount::default(),
        };
        sum.add(&BlockIoCount {
            last_error: 7,
            ..count(2, 5, 1)
        });
        sum.add(&count(3, 2, 0));
        let told = block_io(8 << 20 | 1, &sum.count, pbjson_types::Timestamp::default());
        assert_eq!((told.requests, told.bytes, told.errors), (5, 5 * 4096, 1));
        assert_eq!(told.latency_sum_ns, 16 * MS);
        assert_eq!(told.latency_max_ns, 5 * MS);
        assert_eq!(told.last_error, "critical medium");
        assert_eq!(told.device, "8:1");
    }
}
