//! The sources of this agent, each opened on its own: one that fails is told and left out. Must not read them.

use aya::Ebpf;
use inquest_proto::v1;

use super::source::Scheduled;

/// Opened sources, and for each one that reads files whether it can.
#[derive(Default)]
pub(crate) struct Sources {
    /// In the order in which they are read.
    pub(crate) scheduled: Vec<Scheduled>,
    /// Hook `poll`, one for each source that reads files.
    pub(crate) statuses: Vec<v1::ProbeStatus>,
}

/// Opens them all; their maps are taken out of `ebpf`.
pub(crate) fn open(_ebpf: &mut Ebpf) -> Sources {
    Sources::default()
}
