//! The check of ICMP errors: one end of a namespace's loopback device sends them, the other receives them.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context as _, ensure};
use inquest_proto::v1::{self, IcmpError, signal::Body};

use super::{
    actor::{self, Actor},
    check::{Check, Deed, Place},
    socket_drop::counted,
};

/// Datagrams sent, all of them to a port that is closed.
const DATAGRAMS: usize = 5;
const PLACE: Place = Place {
    network: true,
    ..Place::CGROUP
};

pub(super) const SENT: Check = Check {
    name: "icmp_errors",
    probe: Some("net_dev_queue"),
    expects: "how many ICMP errors were sent about which packet, as the kernel counted them",
    place: PLACE,
    act: send_to_a_closed_port,
    is_told_by: |signal, deed| tells(signal, deed, false, "sent"),
};

pub(super) const RECEIVED: Check = Check {
    name: "icmp_errors_received",
    probe: Some("netif_receive_skb"),
    expects: "how many ICMP errors were received about which packet, as the kernel counted them",
    place: PLACE,
    act: send_to_a_closed_port,
    is_told_by: |signal, deed| tells(signal, deed, true, "received"),
};

fn tells(signal: &v1::Signal, deed: &Deed, received: bool, count: &str) -> bool {
    let Some(Body::IcmpErrors(errors)) = &signal.body else {
        return false;
    };
    let is_ours = |error: &IcmpError| {
        let end = |address: &Option<v1::SocketAddress>| {
            let address = address.clone().unwrap_or_default();
            (address.address, address.port.to_string())
        };
        let loopback = |port: &str| ("127.0.0.1".to_owned(), deed.fact(port).to_owned());
        (error.received, error.count.to_string().as_str()) == (received, deed.fact(count))
            && error.meaning == "destination unreachable: port unreachable"
            && (error.protocol.as_str(), error.reporter.as_str()) == ("udp", "127.0.0.1")
            && end(&error.source) == loopback("sender")
            && end(&error.destination) == loopback("closed")
    };
    // Not whose namespace it is: nobody executed in it, and its inode may be one that another check's had.
    errors.netns == deed.netns && errors.errors.iter().any(is_ours)
}

fn send_to_a_closed_port(_: &Actor) -> anyhow::Result<()> {
    let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to make a socket");
    let (sender, closed) = (socket()?, socket()?);
    let address = closed.local_addr().context("failed to read its port")?;
    actor::tell("closed", address.port())?;
    drop(closed);
    let from = sender.local_addr().context("failed to read its port")?;
    actor::tell("sender", from.port())?;
    for _ in 0..DATAGRAMS {
        sender
            .send_to(b"inquest", address)
            .context("failed to send")?;
    }
    let sent = counted("Icmp:", "OutDestUnreachs")?;
    ensure!(sent > 0, "the kernel does not say that a port is closed");
    actor::tell("sent", sent)?;
    actor::tell("received", counted("Icmp:", "InDestUnreachs")?)
}
