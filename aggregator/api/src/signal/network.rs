//! What went wrong below the connections of a network namespace. Must not name pods.

use inquest_engine::model::{Timestamp, signal as to};
use inquest_proto::v1;

use super::bound::{list, text};
use super::{address, process, some_address};

pub(super) fn packet_drops(from: &v1::PacketDrops, start: Timestamp) -> to::PacketDrops {
    to::PacketDrops {
        start,
        netns: from.netns,
        drops: list(&from.drops, packet_drop),
    }
}

fn packet_drop(from: &v1::PacketDrop) -> to::PacketDrop {
    to::PacketDrop {
        reason: text(&from.reason),
        location: text(&from.location),
        netfilter: from.netfilter,
        protocol: text(&from.protocol),
        source: some_address(from.source.as_ref()),
        destination: some_address(from.destination.as_ref()),
        interface: text(&from.interface),
        count: from.count,
        bytes: from.bytes,
    }
}

pub(super) fn listen_overflow(from: &v1::ListenOverflow, start: Timestamp) -> to::ListenOverflow {
    to::ListenOverflow {
        start,
        netns: from.netns,
        overflows: from.overflows,
        drops: from.drops,
        listeners: list(&from.listeners, full_listener),
    }
}

fn full_listener(from: &v1::FullListener) -> to::FullListener {
    to::FullListener {
        local: some_address(from.local.as_ref()),
        queued: from.queued,
        max: from.max,
        owner: from.owner.as_ref().map(process),
    }
}

pub(super) fn socket_drops(from: &v1::SocketDrops, start: Timestamp) -> to::SocketDrops {
    to::SocketDrops {
        start,
        netns: from.netns,
        local: some_address(from.local.as_ref()),
        count: from.count,
    }
}

pub(super) fn icmp_errors(from: &v1::IcmpErrors, start: Timestamp) -> to::IcmpErrors {
    to::IcmpErrors {
        start,
        netns: from.netns,
        errors: list(&from.errors, icmp_error),
    }
}

fn icmp_error(from: &v1::IcmpError) -> to::IcmpError {
    to::IcmpError {
        meaning: text(&from.meaning),
        kind: from.r#type,
        code: from.code,
        ip_version: from.ip_version,
        source: some_address(from.source.as_ref()),
        destination: some_address(from.destination.as_ref()),
        count: from.count,
        received: from.received,
        reporter: text(&from.reporter),
        mtu: from.mtu,
        protocol: text(&from.protocol),
    }
}

pub(super) fn neighbor_failures(
    from: &v1::NeighborFailures,
    start: Timestamp,
) -> to::NeighborFailures {
    to::NeighborFailures {
        start,
        netns: from.netns,
        failures: list(&from.failures, neighbor_failure),
    }
}

fn neighbor_failure(from: &v1::NeighborFailure) -> to::NeighborFailure {
    to::NeighborFailure {
        address: text(&from.address),
        interface: text(&from.interface),
        count: from.count,
    }
}

pub(super) fn conntrack_usage(from: v1::ConntrackUsage, start: Timestamp) -> to::ConntrackUsage {
    to::ConntrackUsage {
        start,
        netns: from.netns,
        entries: from.entries,
        max: from.max,
        insert_failed: from.insert_failed,
        drop: from.drop,
        early_drop: from.early_drop,
    }
}

pub(super) fn ephemeral_port_usage(
    from: &v1::EphemeralPortUsage,
    start: Timestamp,
) -> to::EphemeralPortUsage {
    to::EphemeralPortUsage {
        start,
        netns: from.netns,
        first_port: from.first_port,
        last_port: from.last_port,
        time_wait: from.time_wait,
        in_use: from.in_use,
        exhausted: from.exhausted,
        peer: from.peer.as_ref().map(address),
    }
}
