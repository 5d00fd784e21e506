//! What a signal would have told: its kind, and of how many things. Must not decide whether it is told.

use inquest_proto::v1::signal::Body;

/// How many things a signal tells of, in the unit of its kind: failed calls, packets, connections, and so on; 1 for what is
/// a single event or a state.
pub(super) fn times(body: &Body) -> u64 {
    match body {
        Body::SyscallFailures(body) => sum(&body.failures, |failure| failure.count),
        Body::PacketDrops(body) => sum(&body.drops, |drop| drop.count),
        Body::TcpFlows(body) => sum(&body.flows, |flow| flow.attempts).max(1),
        Body::SocketDrops(body) => body.count,
        Body::IcmpErrors(body) => sum(&body.errors, |error| error.count),
        Body::NeighborFailures(body) => sum(&body.failures, |failure| failure.count),
        Body::DnsQueries(body) => body.total,
        Body::BlockIo(body) => body.requests,
        Body::Denials(body) => sum(&body.denials, |denial| denial.count),
        Body::ExecFailure(body) => body.count,
        Body::PidsLimitHit(body) => body.count,
        Body::ListenOverflow(body) => body.overflows,
        Body::OomKill(_)
        | Body::ProcessExit(_)
        | Body::ProcessExec(_)
        | Body::FatalSignal(_)
        | Body::CoverageGap(_)
        | Body::ConntrackUsage(_)
        | Body::EphemeralPortUsage(_)
        | Body::ResourceUsage(_)
        | Body::FilesystemUsage(_)
        | Body::WaitProfile(_)
        | Body::ContainerStart(_)
        | Body::CgroupRemoved(_)
        | Body::NodeEvent(_)
        | Body::DaemonExit(_) => 1,
    }
}

fn sum<T>(parts: &[T], count: impl Fn(&T) -> u64) -> u64 {
    parts
        .iter()
        .fold(0, |sum: u64, part| sum.saturating_add(count(part)))
}

/// What the kind of a signal is called in losses: as its field is in `signal.proto`.
pub(super) fn kind_word(body: &Body) -> &'static str {
    match body {
        Body::OomKill(_) => "oom_kill",
        Body::ProcessExit(_) => "process_exit",
        Body::ProcessExec(_) => "process_exec",
        Body::FatalSignal(_) => "fatal_signal",
        Body::CoverageGap(_) => "coverage_gap",
        Body::SyscallFailures(_) => "syscall_failures",
        Body::PacketDrops(_) => "packet_drops",
        Body::TcpFlows(_) => "tcp_flows",
        Body::ListenOverflow(_) => "listen_overflow",
        Body::SocketDrops(_) => "socket_drops",
        Body::IcmpErrors(_) => "icmp_errors",
        Body::NeighborFailures(_) => "neighbor_failures",
        Body::DnsQueries(_) => "dns_queries",
        Body::ConntrackUsage(_) => "conntrack_usage",
        Body::EphemeralPortUsage(_) => "ephemeral_port_usage",
        Body::ResourceUsage(_) => "resource_usage",
        Body::FilesystemUsage(_) => "filesystem_usage",
        Body::BlockIo(_) => "block_io",
        Body::WaitProfile(_) => "wait_profile",
        Body::Denials(_) => "denials",
        Body::ExecFailure(_) => "exec_failure",
        Body::PidsLimitHit(_) => "pids_limit_hit",
        Body::ContainerStart(_) => "container_start",
        Body::CgroupRemoved(_) => "cgroup_removed",
        Body::NodeEvent(_) => "node_event",
        Body::DaemonExit(_) => "daemon_exit",
    }
}

#[cfg(test)]
mod tests {
    use inquest_proto::v1::{CgroupRemoved, SyscallFailure, SyscallFailures, TcpFlows};

    use super::*;

    #[test]
    fn counts_what_a_signal_tells_of_rather_than_the_signal() {
        let failure = |count| SyscallFailure {
            count,
            ..SyscallFailure::default()
        };
        let failures = SyscallFailures {
            failures: vec![failure(3), failure(4)],
            ..SyscallFailures::default()
        };
        for (body, kind, expected) in [
            (Body::SyscallFailures(failures), "syscall_failures", 7),
            (Body::TcpFlows(TcpFlows::default()), "tcp_flows", 1),
            (
                Body::CgroupRemoved(CgroupRemoved::default()),
                "cgroup_removed",
                1,
            ),
        ] {
            assert_eq!((kind_word(&body), times(&body)), (kind, expected));
        }
    }
}
