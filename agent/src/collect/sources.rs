//! The sources of this agent, each opened on its own: one that fails is told and left out. Must not read them.
//!
//! Those that read files need no program of the kernel's, and are opened where there is none, too.

mod block_io;
mod clock_step;
mod failed_calls;
mod filesystem_usage;
mod kernel_log;
mod namespaces;
mod network;
mod rate_limits;
#[cfg(test)]
mod real_cgroup;
mod refusals;
mod resource_usage;
mod wait_profile;

use std::sync::Arc;

use aya::Ebpf;
use inquest_proto::v1::{self, probe_status::State};
use tracing::warn;

use super::{
    cgroupfs::CgroupFs,
    counted::Generations,
    ring_buffer::OpenError,
    source::{Scheduled, Source},
    write_failures::{WriteFailures, write_failures},
};
use crate::{
    kernel::Kernel, privileges::Privileges, probes::WaitProbes, profile_desk::ProfileDesk,
    telemetry::ErrorChain,
};
use block_io::BlockIoCounts;
use clock_step::ClockStep;
use failed_calls::FailedCalls;
use filesystem_usage::FilesystemSamples;
use kernel_log::KernelLog;
pub(crate) use namespaces::lists_listeners;
use namespaces::{NamespaceSamples, ShortageDesk};
use network::Network;
use rate_limits::RateLimits;
use refusals::Refusals;
use resource_usage::ResourceSamples;
use wait_profile::WaitProfiler;

/// What sources are made of, besides maps.
pub(crate) struct SourceParts {
    /// The cgroups of the node.
    pub(crate) cgroups: Arc<CgroupFs>,
    /// `None` when the scheduler's hooks cannot be had.
    pub(crate) wait_probes: Option<WaitProbes>,
    /// Where wait profiles are asked for.
    pub(crate) profile_desk: ProfileDesk,
    /// Names of sources that stay off.
    pub(crate) disabled: Vec<String>,
    /// What this process has been granted.
    pub(crate) privileges: Privileges,
}

impl SourceParts {
    /// Returns the same without probes.
    pub(crate) fn without_probes(&self) -> Self {
        Self {
            cgroups: Arc::clone(&self.cgroups),
            wait_probes: None,
            profile_desk: self.profile_desk.clone(),
            disabled: self.disabled.clone(),
            privileges: self.privileges,
        }
    }
}

/// A source that reads files, as the node's report has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Polled {
    /// Of the source; it can be disabled by it.
    pub(crate) name: &'static str,
    /// What is not told without it.
    without: &'static str,
}

/// All sources that read files.
pub(crate) const POLLED: [Polled; 5] = [
    resource_usage::POLLED,
    namespaces::POLLED,
    filesystem_usage::POLLED,
    clock_step::POLLED,
    kernel_log::POLLED,
];

impl Polled {
    fn missing(self) -> v1::ProbeStatus {
        v1::ProbeStatus {
            name: self.name.to_owned(),
            state: State::Missing.into(),
            without: self.without.to_owned(),
            ..v1::ProbeStatus::default()
        }
    }
}

/// Opened sources, and for each one that reads files whether it can.
#[derive(Default)]
pub(crate) struct Sources {
    /// In the order in which they are read.
    pub(crate) scheduled: Vec<Scheduled>,
    /// Hook `poll`, one for each source that reads files.
    pub(crate) statuses: Vec<v1::ProbeStatus>,
}

/// Where those that read files are told what others saw.
struct Desks {
    /// `None` where network namespaces are not sampled.
    shortages: Option<ShortageDesk>,
    write_failures: WriteFailures,
}

/// Opens those that read files.
pub(crate) fn open_polled(parts: &SourceParts) -> Sources {
    open_files(parts).0
}

fn open_files(parts: &SourceParts) -> (Sources, Desks) {
    let mut sources = Sources::default();
    let cgroups = Arc::clone(&parts.cgroups);
    let start = |status: &mut _| ResourceSamples::start(cgroups, status);
    sources.add_polled(resource_usage::POLLED, parts, start);
    let mut shortages = None;
    let cgroups = Arc::clone(&parts.cgroups);
    let start = |status: &mut _| {
        let started = NamespaceSamples::start(cgroups, status)?;
        shortages = Some(started.desk());
        Some(started)
    };
    sources.add_polled(namespaces::POLLED, parts, start);
    let (write_failures, reader) = write_failures();
    let (cgroups, failures) = (Arc::clone(&parts.cgroups), write_failures.clone());
    let privileges = parts.privileges;
    let start =
        |status: &mut _| FilesystemSamples::start(cgroups, (failures, reader), privileges, status);
    sources.add_polled(filesystem_usage::POLLED, parts, start);
    let watch = |_: &mut _| Some(ClockStep::watch());
    sources.add_polled(clock_step::POLLED, parts, watch);
    let start = |status: &mut _| KernelLog::start(privileges, status);
    sources.add_polled(kernel_log::POLLED, parts, start);
    let desks = Desks {
        shortages,
        write_failures,
    };
    (sources, desks)
}

/// Opens them all; their maps are taken out of `ebpf`, whose programs read `kernel`.
pub(crate) fn open(ebpf: &mut Ebpf, kernel: &Kernel, parts: SourceParts) -> Sources {
    let (mut sources, desks) = open_files(&parts);
    let profiler = WaitProfiler::open(ebpf, parts);
    sources.add("no container's waits are told", profiler);
    let generations = match Generations::open(ebpf) {
        Ok(generations) => generations,
        Err(error) => {
            warn!(error = %ErrorChain(&error), "nothing that is counted is told");
            return sources;
        }
    };
    let network = Network::open(ebpf, generations.clone(), kernel, desks.shortages);
    sources.add("the network is not counted", network);
    let block_io = BlockIoCounts::open(ebpf, generations.clone());
    sources.add("requests to disks are not counted", block_io);
    let limits = RateLimits::open(ebpf, generations.clone());
    sources.add("what was beyond a rate is not counted", limits);
    let refusals = Refusals::open(ebpf, generations.clone());
    sources.add("calls that a policy refused are not counted", refusals);
    let failed_calls = FailedCalls::open(ebpf, generations, desks.write_failures);
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

    /// Starts a source that reads files, unless it is to stay off, and keeps how that went.
    fn add_polled<S: Source + 'static>(
        &mut self,
        polled: Polled,
        parts: &SourceParts,
        start: impl FnOnce(&mut v1::ProbeStatus) -> Option<S>,
    ) {
        let mut status = polled.missing();
        if parts.disabled.iter().any(|name| name == polled.name) {
            status.set_state(State::Disabled);
            "disabled by the configuration".clone_into(&mut status.detail);
        } else if let Some(source) = start(&mut status) {
            status.set_state(State::Attached);
            "poll".clone_into(&mut status.hook);
            let shortfalls = parts.privileges.shortfalls(polled.name);
            status.detail = join_details([&status.detail, &shortfalls]);
            self.scheduled.push(Scheduled::new(Box::new(source)));
        }
        self.statuses.push(status);
    }
}

/// Joins what there is to say, leaving out what is empty.
pub(crate) fn join_details<const N: usize>(details: [&str; N]) -> String {
    let said = details.into_iter().filter(|detail| !detail.is_empty());
    said.collect::<Vec<_>>().join("; ")
}
