//! Connections and DNS queries. Must not resolve names or addresses.

use inquest_engine::model::{Timestamp, signal as to};
use inquest_proto::v1;

use super::bound::{list, text};
use super::some_address;

pub(super) fn tcp_flows(from: &v1::TcpFlows, start: Timestamp) -> to::TcpFlows {
    to::TcpFlows {
        start,
        netns: from.netns,
        flows: list(&from.flows, tcp_flow),
        other_peers: from.other_peers,
    }
}

fn tcp_flow(from: &v1::TcpFlow) -> to::TcpFlow {
    to::TcpFlow {
        direction: direction(from.direction()),
        peer: some_address(from.peer.as_ref()),
        attempts: from.attempts,
        established: from.established,
        refused: from.refused,
        timed_out: from.timed_out,
        reset: from.reset,
        unreachable: from.unreachable,
        failed_otherwise: from.failed_otherwise,
        other_errno: text(&from.other_errno),
        connect_latency_sum_ns: from.connect_latency_sum_ns,
        connect_latency_max_ns: from.connect_latency_max_ns,
        syn_retransmits: from.syn_retransmits,
        retransmits: from.retransmits,
        srtt_sum_us: from.srtt_sum_us,
        srtt_samples: from.srtt_samples,
        bytes_sent: from.bytes_sent,
        bytes_received: from.bytes_received,
        resets_sent: from.resets_sent,
        resets_received: from.resets_received,
        reset_reason: text(&from.reset_reason),
        comm: text(&from.comm),
    }
}

fn direction(from: v1::tcp_flow::Direction) -> to::Direction {
    use v1::tcp_flow::Direction as Wire;
    match from {
        Wire::Out => to::Direction::Out,
        Wire::In => to::Direction::In,
        Wire::Unspecified => to::Direction::Unknown,
    }
}

pub(super) fn dns_queries(from: &v1::DnsQueries, start: Timestamp) -> to::DnsQueries {
    to::DnsQueries {
        start,
        netns: from.netns,
        resolver: some_address(from.resolver.as_ref()),
        queries: list(&from.queries, dns_query),
        total: from.total,
        answered: from.answered,
        timed_out: from.timed_out,
        nxdomain: from.nxdomain,
        search_amplified: from.search_amplified,
    }
}

fn dns_query(from: &v1::DnsQuery) -> to::DnsQuery {
    to::DnsQuery {
        name: text(&from.name),
        kind: text(&from.r#type),
        rcode: text(&from.rcode),
        count: from.count,
        latency_sum_ns: from.latency_sum_ns,
        latency_max_ns: from.latency_max_ns,
        no_data: from.no_data,
    }
}
