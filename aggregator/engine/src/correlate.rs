//! Joins signals into cases: all that is known of one process's end, or of a workload's state. Must not
//! judge them.

pub(crate) mod case;
pub(crate) mod coverage;
pub(crate) mod death;
pub(crate) mod group;
pub(crate) mod troubles;
pub(crate) mod window;
pub(crate) mod workload;
