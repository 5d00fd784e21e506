//! Joins signals into deaths: all that is known of one process's end. Must not judge why it ended.

pub(crate) mod coverage;
pub(crate) mod death;
pub(crate) mod group;
pub(crate) mod window;
pub(crate) mod workload;
