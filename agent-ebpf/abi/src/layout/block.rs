//! What tells whose request to which device is under way.

use super::Offset;

offsets! {
    /// From a `struct request` to its disk and to the cgroup that it is for.
    BlockLayout {
        /// `request.q`
        queue,
        /// `request_queue.disk`, since 5.16
        queue_disk,
        /// `request.rq_disk`, before
        request_disk,
        /// `gendisk.major`
        disk_major,
        /// `gendisk.first_minor`
        disk_minor,
        /// `request.bio`
        bio,
        /// `bio.bi_blkg`, the state of a cgroup at a device
        bio_group,
        /// `blkcg_gq.blkcg`, of a cgroup; it starts with its css
        group_css,
    }
}
