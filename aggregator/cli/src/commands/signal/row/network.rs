//! What happened on the network, in one line. Must conclude nothing.

use inquest_engine::model::signal::{
    ConntrackUsage, Direction, DnsQueries, EphemeralPortUsage, IcmpErrors, ListenOverflow,
    NeighborFailures, PacketDrop, PacketDrops, SocketDrops, TcpFlow, TcpFlows,
};

use super::{address, most, process};
use crate::output::text;

pub(super) fn packet_drops(of: &PacketDrops) -> String {
    most(&of.drops, |drop| drop.count, packet_drop)
}

fn packet_drop(of: &PacketDrop) -> String {
    let why = match (of.reason.as_str(), of.netfilter) {
        ("", true) => "by a firewall rule",
        ("", false) => "for an unknown reason",
        (reason, _) => reason,
    };
    format!(
        "{} dropped ({why}): {} {} to {}",
        text::count(of.count, "packet"),
        of.protocol,
        address(&of.source),
        address(&of.destination)
    )
}

pub(super) fn tcp_flows(of: &TcpFlows) -> String {
    most(&of.flows, |flow| (failures(flow), flow.attempts), tcp_flow)
}

fn tcp_flow(of: &TcpFlow) -> String {
    let peer = address(&of.peer);
    let whom = match of.direction {
        Direction::Out => format!("{} to {peer}", text::count(of.attempts, "connection")),
        Direction::In => format!("{} from {peer}", text::count(of.attempts, "connection")),
        Direction::Unknown => format!("{} with {peer}", text::count(of.attempts, "connection")),
    };
    let outcomes = [
        (of.established, "established"),
        (of.refused, "refused"),
        (of.timed_out, "timed out"),
        (of.reset, "reset"),
        (of.unreachable, "unreachable"),
        (of.failed_otherwise, "failed otherwise"),
    ];
    let outcomes: Vec<String> = outcomes
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if outcomes.is_empty() {
        whom
    } else {
        format!("{whom}: {}", outcomes.join(", "))
    }
}

pub(super) fn listen_overflow(of: &ListenOverflow) -> String {
    let connections = text::count(of.overflows.max(of.drops), "connection");
    let at = of.listeners.iter().max_by_key(|listener| listener.queued);
    let at = at.map_or(String::new(), |listener| {
        let owner = listener.owner.as_ref().map(process).unwrap_or_default();
        let local = address(&listener.local);
        format!(
            " at {local} {owner} ({} of {} wait)",
            listener.queued, listener.max
        )
    });
    format!("{connections} found the accept queue full{at}")
}

pub(super) fn socket_drops(of: &SocketDrops) -> String {
    let datagrams = text::count(of.count, "datagram");
    format!(
        "{datagrams} found the receive buffer of {} full",
        address(&of.local)
    )
}

pub(super) fn icmp_errors(of: &IcmpErrors) -> String {
    most(
        &of.errors,
        |error| error.count,
        |error| {
            let way = if error.received { "from" } else { "sent by" };
            let to = address(&error.destination);
            let mtu = match error.mtu {
                0 => String::new(),
                mtu => format!(" ({mtu} bytes fit)"),
            };
            format!(
                "{}{mtu} {way} {} for {to}, {}",
                error.meaning,
                error.reporter,
                text::count(error.count, "time")
            )
        },
    )
}

pub(super) fn neighbor_failures(of: &NeighborFailures) -> String {
    most(
        &of.failures,
        |failure| failure.count,
        |failure| {
            format!(
                "nobody answered for {} on {}",
                failure.address, failure.interface
            )
        },
    )
}

pub(super) fn dns_queries(of: &DnsQueries) -> String {
    let queries = match of.total {
        1 => "1 query".to_owned(),
        total => format!("{total} queries"),
    };
    let mut parts = vec![format!("{queries} to {}", address(&of.resolver))];
    let outcomes = [
        (of.nxdomain, "NXDOMAIN"),
        (of.timed_out, "without answer"),
        (of.search_amplified, "by search domains"),
    ];
    let outcomes = outcomes.into_iter().filter(|(count, _)| *count > 0);
    parts.extend(outcomes.map(|(count, what)| format!("{count} {what}")));
    let name = of.queries.iter().max_by_key(|query| query.count);
    parts.extend(name.map(|query| format!("{} {}", query.name, query.kind)));
    parts.join(", ")
}

pub(super) fn conntrack_usage(of: ConntrackUsage) -> String {
    let lost = of.insert_failed.saturating_add(of.drop);
    format!(
        "{} of {} connections tracked, {lost} refused",
        of.entries, of.max
    )
}

pub(super) fn ephemeral_port_usage(of: &EphemeralPortUsage) -> String {
    let range = format!("ports {}-{}", of.first_port, of.last_port);
    let failed = of.exhausted;
    format!(
        "{} sockets on {range}, {} in TIME_WAIT, {failed} found no port",
        of.in_use, of.time_wait
    )
}

/// Connections that came to nothing.
const fn failures(of: &TcpFlow) -> u64 {
    of.refused
        .saturating_add(of.timed_out)
        .saturating_add(of.reset)
        .saturating_add(of.unreachable)
        .saturating_add(of.failed_otherwise)
}
