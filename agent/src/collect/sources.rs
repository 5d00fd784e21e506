//! The sources of this agent, each opened on its own: one that fails is told and left out. Must not read them.

mod failed_calls;
mod network;
mod wait_profile;

use std::sync::Arc;

use aya::Ebpf;
use inquest_proto::v1;
use tracing::warn;

use super::{
    cgroupfs::CgroupFs,
    counted::Generations,
    ring_buffer::OpenError,
    source::{Scheduled, Source},
};
use crate::{kernel::Kernel, probes::WaitProbes, profile_desk::ProfileDesk, telemetry::ErrorChain};
use failed_calls::FailedCalls;
use network::Network;
use wait_profile::WaitProfiler;

/// What sources are made of, besides maps.
pub(crate) struct SourceParts {
    /// The cgroups of the node.
    pub(crate) cgroups: Arc<CgroupFs>,
    /// `None` when the scheduler's hooks cannot be had.
    pub(crate) wait_probes: Option<WaitProbes>,
    /// Where wait profiles are asked for.
    pub(crate) profile_desk: ProfileDesk,
}

/// Opened sources, and for each one that reads files whether it can.
#[derive(Default)]
pub(crate) struct Sources {
    /// In the order in which they are read.
    pub(crate) scheduled: Vec<Scheduled>,
    /// Hook `poll`, one for each source that reads files.
    pub(crate) statuses: Vec<v1::ProbeStatus>,
}

/// Opens them all; their maps are taken out of `ebpf`, whose programs read `kernel`.
pub(crate) fn open(ebpf: &mut Ebpf, kernel: &Kernel, parts: SourceParts) -> Sources {
    let mut sources = Sources::default();
    let profiler = WaitProfiler::open(ebpf, parts);
    sources.add("no container's waits are told", profiler);
    let generations = match Generations::open(ebpf) {
        Ok(generations) => generations,
        Err(error) => {
            warn!(error = %ErrorChain(&error), "nothing that is counted is told");
            return sources;
        }
    };
    let network = Network::open(ebpf, generations.clone(), kernel.drop_reasons.clone());
    sources.add("the network is not counted", network);
    let failed_calls = FailedCalls::open(ebpf, generations);
    sources.add("failed calls are not counted", failed_calls);
    sources
}

impl Sources {
    /// Has a source read from now on; says what is `lacking` when it could not be opened.
    fn add<S: Source + 'static>(&mut self, lacking: &'static str, opened: Result<S, OpenError>) {
        match opened {
            Ok(source) => self.scheduled.push(Scheduled::new(Box::new(source))),
            Err(error) => warn!(error = %ErrorChain(&error), "{lacking}"),
        }
    }
}
