//! The sources of this agent, each opened on its own: one that fails is told and left out. Must not read them.

mod network;

use aya::Ebpf;
use inquest_proto::v1;

use tracing::warn;

use super::source::Scheduled;
use crate::{kernel::Kernel, telemetry::ErrorChain};
use network::Network;

/// Opened sources, and for each one that reads files whether it can.
#[derive(Default)]
pub(crate) struct Sources {
    /// In the order in which they are read.
    pub(crate) scheduled: Vec<Scheduled>,
    /// Hook `poll`, one for each source that reads files.
    pub(crate) statuses: Vec<v1::ProbeStatus>,
}

/// Opens them all; their maps are taken out of `ebpf`, whose programs read `kernel`.
pub(crate) fn open(ebpf: &mut Ebpf, kernel: &Kernel) -> Sources {
    let mut sources = Sources::default();
    match Network::open(ebpf, kernel.drop_reasons.clone()) {
        Ok(network) => sources.scheduled.push(Scheduled::new(Box::new(network))),
        Err(error) => warn!(error = %ErrorChain(&error), "the network is not counted"),
    }
    sources
}
