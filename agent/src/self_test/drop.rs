//! The check of dropped packets.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::Context as _;
use inquest_proto::v1::{PacketDrop, signal::Body};

use super::{
    actor::{self, Actor},
    check::{Check, Place},
};

/// Packets sent, all of them for nobody.
const PACKETS: u64 = 5;
const PAYLOAD: &[u8] = b"inquest";
/// Headers of IPv4 and UDP, which are a part of what is dropped where nobody took them off.
const MAX_HEADERS: u64 = 28;
/// What kernels since 5.17 say of a packet that no socket wants; earlier ones give no reason.
const REASONS: [&str; 2] = ["NO_SOCKET", ""];

pub(super) const CHECK: Check = Check {
    name: "packet_drops",
    probe: Some("kfree_skb"),
    expects: "how many packets to which port were dropped, and why",
    place: Place {
        network: true,
        ..Place::CGROUP
    },
    act: send_to_nobody,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::PacketDrops(drops)) => {
            let port = deed.fact("port").parse().unwrap_or(0);
            drops.netns == deed.netns && drops.drops.iter().any(|drop| is_ours(drop, port))
        }
        _ => false,
    },
};

fn is_ours(drop: &PacketDrop, port: u32) -> bool {
    let destination = drop.destination.clone().unwrap_or_default();
    let source = drop.source.clone().unwrap_or_default();
    let payload = PAYLOAD.len() as u64;
    drop.count == PACKETS
        && (PACKETS * payload..=PACKETS * (payload + MAX_HEADERS)).contains(&drop.bytes)
        && REASONS.contains(&drop.reason.as_str())
        && !drop.netfilter
        && (drop.protocol.as_str(), drop.interface.as_str()) == ("udp", "lo")
        && (destination.address.as_str(), destination.port) == ("127.0.0.1", port)
        && source.address == "127.0.0.1"
}

fn send_to_nobody(_: &Actor) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to make a socket")?;
    // A port that was just given back; nobody else is in this namespace.
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .context("failed to find a free port")?
        .port();
    actor::tell("port", port)?;
    for _ in 0..PACKETS {
        socket
            .send_to(PAYLOAD, (Ipv4Addr::LOCALHOST, port))
            .context("failed to send")?;
    }
    Ok(())
}
