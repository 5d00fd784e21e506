//! Counters of processes and memory cgroups. Must not read anything itself.

use super::{OPTIONAL, Row, row};
use crate::probes::Family::Oom;

/// A `struct mem_cgroup` starts with its css, so offsets from the one are offsets from the other.
pub(super) const TABLE: &[Row] = &[
    row(
        |l| &mut l.memory.mm_file,
        &[
            "mm_struct.rss_stat[MM_FILEPAGES].count",
            "mm_struct.rss_stat.count[MM_FILEPAGES]",
        ],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.mm_shmem,
        &[
            "mm_struct.rss_stat[MM_SHMEMPAGES].count",
            "mm_struct.rss_stat.count[MM_SHMEMPAGES]",
        ],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.mm_swap,
        &[
            "mm_struct.rss_stat[MM_SWAPENTS].count",
            "mm_struct.rss_stat.count[MM_SWAPENTS]",
        ],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.usage,
        &["mem_cgroup.memory.usage"],
        &[Oom],
    ),
    row(|l| &mut l.memory.max, &["mem_cgroup.memory.max"], &[Oom]),
    row(
        |l| &mut l.memory.failcnt,
        &["mem_cgroup.memory.failcnt"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.memsw_usage,
        &["mem_cgroup.memsw.usage"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.memsw_max,
        &["mem_cgroup.memsw.max"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.oom_events,
        &["mem_cgroup.memory_events_local[MEMCG_OOM]"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.oom_group,
        &["mem_cgroup.oom_group"],
        OPTIONAL,
    ),
];
