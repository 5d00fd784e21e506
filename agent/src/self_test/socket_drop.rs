//! The check of datagrams that find a receive buffer full.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
};

use anyhow::{Context as _, ensure};
use inquest_proto::v1::signal::Body;
use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::{
    actor::{self, Actor},
    check::{Check, Place},
};

/// Datagrams sent to a socket that nobody reads, far more than its buffer holds.
const DATAGRAMS: usize = 64;
const PAYLOAD: [u8; 1024] = [0; 1024];
/// The kernel gives somewhat more, its own minimum.
const BUFFER_BYTES: usize = 1;
/// Counters of this namespace, which nobody else is in.
const COUNTERS: &str = "/proc/self/net/snmp";

pub(super) const CHECK: Check = Check {
    name: "socket_drops",
    probe: Some("udp_fail_queue_rcv_skb"),
    expects: "how many datagrams found which socket's receive buffer full, as the kernel counted them",
    place: Place {
        network: true,
        ..Place::CGROUP
    },
    act: flood_an_unread_socket,
    is_told_by: |signal, deed| match &signal.body {
        Some(Body::SocketDrops(drops)) => {
            let local = drops.local.clone().unwrap_or_default();
            // Not whose socket it is, which cgroup v1 does not tell: then it is the namespace's owner, but nobody executed
            // in this one, and its inode may be one that another check's had.
            drops.netns == deed.netns
                && local.address == "127.0.0.1"
                && local.port.to_string() == deed.fact("port")
                && drops.count.to_string() == deed.fact("dropped")
        }
        _ => false,
    },
};

fn flood_an_unread_socket(_: &Actor) -> anyhow::Result<()> {
    let unread = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to make a socket")?;
    set_socket_recv_buffer_size(&unread, BUFFER_BYTES).context("failed to shrink its buffer")?;
    let address = unread.local_addr().context("failed to read its port")?;
    actor::tell("port", address.port())?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to make a socket")?;
    for _ in 0..DATAGRAMS {
        sender
            .send_to(&PAYLOAD, address)
            .context("failed to send")?;
    }
    let dropped = counted("Udp:", "RcvbufErrors")?;
    ensure!(dropped > 0, "a tiny buffer took {DATAGRAMS} datagrams");
    actor::tell("dropped", dropped)
}

/// What the kernel counted in this namespace: a line of names, and below it one of numbers.
pub(super) fn counted(protocol: &str, name: &str) -> anyhow::Result<u64> {
    let counters = fs::read_to_string(COUNTERS).context("failed to read the kernel's counters")?;
    let mut lines = counters
        .lines()
        .filter_map(|line| line.strip_prefix(protocol));
    let names = lines.next().unwrap_or_default().split_whitespace();
    let numbers = lines.next().unwrap_or_default().split_whitespace();
    let number = names.zip(numbers).find(|(found, _)| *found == name);
    let (_, number) = number.with_context(|| format!("{COUNTERS} does not tell {name}"))?;
    number
        .parse()
        .with_context(|| format!("{name} is no number"))
}
