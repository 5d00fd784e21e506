//! From a request to its disk and to the cgroup that it is for. Must not read anything itself.

use super::{OPTIONAL, Row, row};
use crate::probes::Family::{self, BlockComplete};

const COMPLETE: &[Family] = &[BlockComplete];

/// A `struct blkcg` starts with its css, so the one is where the other is.
pub(super) const TABLE: &[Row] = &[
    row(|l| &mut l.block.queue, &["request.q"], COMPLETE),
    row(
        |l| &mut l.block.queue_disk,
        &["request_queue.disk"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.block.request_disk,
        &["request.rq_disk"],
        OPTIONAL,
    ),
    row(|l| &mut l.block.disk_major, &["gendisk.major"], COMPLETE),
    row(
        |l| &mut l.block.disk_minor,
        &["gendisk.first_minor"],
        COMPLETE,
    ),
    row(|l| &mut l.block.bio, &["request.bio"], OPTIONAL),
    row(|l| &mut l.block.bio_group, &["bio.bi_blkg"], OPTIONAL),
    row(|l| &mut l.block.group_css, &["blkcg_gq.blkcg"], OPTIONAL),
];
