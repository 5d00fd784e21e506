//! The kinds of signals and their names. Must never give a number another meaning: stores keep them.

use inquest_proto::v1::{self, signal::Body};

/// What a signal speaks of; the numbers are bits of a store's block masks, so below 63.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignalKind {
    Unknown = 0,
    OomKill = 1,
    ProcessExit = 2,
    ProcessExec = 3,
    FatalSignal = 4,
    CoverageGap = 5,
    SyscallFailures = 6,
    PacketDrops = 7,
    TcpFlows = 8,
    ListenOverflow = 9,
    SocketDrops = 10,
    IcmpErrors = 11,
    NeighborFailures = 12,
    DnsQueries = 13,
    ConntrackUsage = 14,
    EphemeralPortUsage = 15,
    ResourceUsage = 16,
    FilesystemUsage = 17,
    BlockIo = 18,
    WaitProfile = 19,
    Denials = 20,
    ExecFailure = 21,
    PidsLimitHit = 22,
    ContainerStart = 23,
    CgroupRemoved = 24,
    NodeEvent = 25,
    DaemonExit = 26,
}

impl SignalKind {
    /// Every kind, the one without a name of its own last.
    pub const ALL: [Self; 27] = [
        Self::OomKill,
        Self::ProcessExit,
        Self::ProcessExec,
        Self::FatalSignal,
        Self::CoverageGap,
        Self::SyscallFailures,
        Self::PacketDrops,
        Self::TcpFlows,
        Self::ListenOverflow,
        Self::SocketDrops,
        Self::IcmpErrors,
        Self::NeighborFailures,
        Self::DnsQueries,
        Self::ConntrackUsage,
        Self::EphemeralPortUsage,
        Self::ResourceUsage,
        Self::FilesystemUsage,
        Self::BlockIo,
        Self::WaitProfile,
        Self::Denials,
        Self::ExecFailure,
        Self::PidsLimitHit,
        Self::ContainerStart,
        Self::CgroupRemoved,
        Self::NodeEvent,
        Self::DaemonExit,
        Self::Unknown,
    ];

    /// Its name: that of its field in `signal.proto`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::OomKill => "oom_kill",
            Self::ProcessExit => "process_exit",
            Self::ProcessExec => "process_exec",
            Self::FatalSignal => "fatal_signal",
            Self::CoverageGap => "coverage_gap",
            Self::SyscallFailures => "syscall_failures",
            Self::PacketDrops => "packet_drops",
            Self::TcpFlows => "tcp_flows",
            Self::ListenOverflow => "listen_overflow",
            Self::SocketDrops => "socket_drops",
            Self::IcmpErrors => "icmp_errors",
            Self::NeighborFailures => "neighbor_failures",
            Self::DnsQueries => "dns_queries",
            Self::ConntrackUsage => "conntrack_usage",
            Self::EphemeralPortUsage => "ephemeral_port_usage",
            Self::ResourceUsage => "resource_usage",
            Self::FilesystemUsage => "filesystem_usage",
            Self::BlockIo => "block_io",
            Self::WaitProfile => "wait_profile",
            Self::Denials => "denials",
            Self::ExecFailure => "exec_failure",
            Self::PidsLimitHit => "pids_limit_hit",
            Self::ContainerStart => "container_start",
            Self::CgroupRemoved => "cgroup_removed",
            Self::NodeEvent => "node_event",
            Self::DaemonExit => "daemon_exit",
        }
    }

    /// Reads a kind by its name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == word)
    }

    /// Every name that `parse` takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(Self::name)
    }

    /// The kind of one signal.
    pub fn of(signal: &v1::Signal) -> Self {
        let Some(body) = &signal.body else {
            return Self::Unknown;
        };
        match body {
            Body::OomKill(_) => Self::OomKill,
            Body::ProcessExit(_) => Self::ProcessExit,
            Body::ProcessExec(_) => Self::ProcessExec,
            Body::FatalSignal(_) => Self::FatalSignal,
            Body::CoverageGap(_) => Self::CoverageGap,
            Body::SyscallFailures(_) => Self::SyscallFailures,
            Body::PacketDrops(_) => Self::PacketDrops,
            Body::TcpFlows(_) => Self::TcpFlows,
            Body::ListenOverflow(_) => Self::ListenOverflow,
            Body::SocketDrops(_) => Self::SocketDrops,
            Body::IcmpErrors(_) => Self::IcmpErrors,
            Body::NeighborFailures(_) => Self::NeighborFailures,
            Body::DnsQueries(_) => Self::DnsQueries,
            Body::ConntrackUsage(_) => Self::ConntrackUsage,
            Body::EphemeralPortUsage(_) => Self::EphemeralPortUsage,
            Body::ResourceUsage(_) => Self::ResourceUsage,
            Body::FilesystemUsage(_) => Self::FilesystemUsage,
            Body::BlockIo(_) => Self::BlockIo,
            Body::WaitProfile(_) => Self::WaitProfile,
            Body::Denials(_) => Self::Denials,
            Body::ExecFailure(_) => Self::ExecFailure,
            Body::PidsLimitHit(_) => Self::PidsLimitHit,
            Body::ContainerStart(_) => Self::ContainerStart,
            Body::CgroupRemoved(_) => Self::CgroupRemoved,
            Body::NodeEvent(_) => Self::NodeEvent,
            Body::DaemonExit(_) => Self::DaemonExit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name_and_has_a_bit_of_its_own() {
        let mut bits = 0_u64;
        for kind in SignalKind::ALL {
            assert_eq!(SignalKind::parse(kind.name()), Some(kind));
            let bit = 1 << kind as u8;
            assert_eq!(bits & bit, 0, "{}", kind.name());
            bits |= bit;
        }
        assert_eq!(SignalKind::parse("oomkill"), None);
    }
}
