//! The failure patterns: one file each, from a case to a finding. A detector must not change
//! anything, and must not look beyond the case that it is given.

mod accept_queue_full;
mod architecture_mismatch;
mod child_process_oom;
mod claim;
mod clock_skew;
mod conntrack_full;
mod cpu_starved;
mod cpu_throttled;
mod daemon_down;
mod dependency_unavailable;
mod disk_full;
mod dns;
mod dropped;
mod entrypoint_not_found;
mod ephemeral_ports_exhausted;
mod exec_failure;
mod file_descriptors_exhausted;
mod file_missing;
mod file_permission_denied;
mod filesystem_read_only;
mod hardware_error;
mod icmp;
mod kernel_lockup;
mod killed_by_signal;
mod last_word;
mod lock_contention;
mod memory_leak;
mod memory_limit_oom;
mod native_crash;
mod neighbor_unreachable;
mod network_policy_drop;
mod node_event;
mod node_oom;
mod packet_loss;
mod peer;
mod pids_exhausted;
mod port_conflict;
mod process_hung;
mod receive_buffer_full;
mod reverse_path_filter_drop;
mod security_context_denied;
mod slow_disk;
mod startup;

use crate::correlate::case::Case;
use crate::correlate::workload::Domain;
use crate::explain::facts::{Fact, FactKind};
use crate::explain::story::Story;
use crate::model::{Entity, Factor, Severity, Timestamp};

/// Every detector, in the order in which their causes are reported when all else is equal.
pub(crate) const DETECTORS: &[&dyn Detector] = &[
    &child_process_oom::ChildProcessOom,
    &memory_limit_oom::MemoryLimitOom,
    &node_oom::NodeOom,
    &security_context_denied::SecurityContextDenied,
    &killed_by_signal::KilledBySignal,
    &native_crash::NativeCrash,
    &architecture_mismatch::ArchitectureMismatch,
    &architecture_mismatch::NotExecutableFormat,
    &entrypoint_not_found::EntrypointNotFound,
    &disk_full::DiskFull,
    &filesystem_read_only::FilesystemReadOnly,
    &pids_exhausted::PidsExhausted,
    &file_descriptors_exhausted::FileDescriptorsExhausted,
    &port_conflict::PortConflict,
    &ephemeral_ports_exhausted::EphemeralPortsExhausted,
    &conntrack_full::ConntrackFull,
    &reverse_path_filter_drop::ReversePathFilterDrop,
    &network_policy_drop::NetworkPolicyDrop,
    &dependency_unavailable::DependencyUnavailable,
    &dns::ClusterDnsDown,
    &dns::PodDnsMisconfigured,
    &dns::DnsNameNotFound,
    &dns::DnsSearchAmplification,
    &accept_queue_full::AcceptQueueFull,
    &receive_buffer_full::ReceiveBufferFull,
    &neighbor_unreachable::NeighborUnreachable,
    &icmp::PathMtuExceeded,
    &icmp::RoutingLoop,
    &icmp::DestinationUnreachable,
    &file_permission_denied::FilePermissionDenied,
    &file_missing::FileMissing,
    &packet_loss::PacketLoss,
    &memory_leak::MemoryLeak,
    &process_hung::ProcessHung,
    &lock_contention::LockContention,
    &cpu_throttled::CpuThrottled,
    &cpu_starved::NoisyNeighbor,
    &cpu_starved::CpuSaturated,
    &slow_disk::SlowDisk,
    &kernel_lockup::KernelLockup,
    &hardware_error::HardwareError,
    &clock_skew::ClockSkew,
    &daemon_down::KubeletDown,
    &daemon_down::ContainerRuntimeDown,
];

/// Looks for one failure pattern.
pub(crate) trait Detector: Sync {
    /// The cause that it can find, as listed in `docs/patterns.md`.
    fn cause(&self) -> &'static str;

    /// What kind of thing fails by it.
    fn domain(&self) -> Domain {
        Domain::Runtime
    }

    /// Says whether the pattern holds in a case, or why it does not.
    fn detect(&self, case: &Case<'_>) -> Verdict;
}

/// What a detector says of a case.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The pattern may hold; how surely is in the finding's factors.
    Holds(Box<Finding>),
    /// The pattern does not hold, and a fact shows it.
    RuledOut(Reason),
    /// The pattern is out of place here; saying so would not help anyone.
    Silent,
}

/// A detector's statement: what, how surely, resting on which facts.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) cause: &'static str,
    pub(crate) severity: Severity,
    /// The object at fault.
    pub(crate) entity: Entity,
    pub(crate) factors: Vec<Factor>,
    pub(crate) supports: Vec<FactKind>,
    pub(crate) contradicts: Vec<FactKind>,
    pub(crate) story: Story,
    /// Facts that it brings itself, beside those that every death has.
    pub(crate) signs: Vec<Fact>,
    /// When it began and when it was seen last; of a death its onset.
    pub(crate) spell: Option<Spell>,
}

/// From the first to the newest sign of a condition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Spell {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// It struck rather than lasts: it is counted like a death, and stays open as long.
    pub(crate) is_event: bool,
}

/// Why a pattern does not hold.
#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) because: String,
    pub(crate) facts: Vec<FactKind>,
    /// Facts that it brings itself.
    pub(crate) signs: Vec<Fact>,
}

impl Verdict {
    fn ruled_out(because: impl Into<String>, facts: &[FactKind]) -> Self {
        Self::RuledOut(Reason {
            because: because.into(),
            facts: facts.to_vec(),
            signs: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::DETECTORS;
    use crate::model::CauseId;

    #[test]
    fn the_manual_lists_every_cause_and_no_other() {
        let manual = include_str!("../../../docs/patterns.md");
        let headings = manual.lines().filter_map(|line| line.strip_prefix("## "));
        let listed: BTreeSet<&str> = headings.collect();
        let causes = DETECTORS.iter().map(|detector| detector.cause());
        let known: BTreeSet<&str> = causes.chain([CauseId::UNDETERMINED]).collect();
        assert_eq!(listed, known);
    }
}
