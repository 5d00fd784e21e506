//! What went wrong below the connections of a network namespace. Must not say whose packets matter.

use super::{Process, SocketAddress};
use crate::model::Timestamp;

/// Packets that the kernel dropped in a window, by reason and flow.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PacketDrops {
    pub start: Timestamp,
    /// Inode of the network namespace.
    pub netns: u64,
    pub drops: Vec<PacketDrop>,
}

/// Equal drops.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PacketDrop {
    /// As the node's kernel names it, without its prefix; empty before 5.17.
    pub reason: String,
    /// The kernel function that dropped; empty when unknown.
    pub location: String,
    /// A firewall or policy rule dropped it.
    pub netfilter: bool,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or a number.
    pub protocol: String,
    pub source: SocketAddress,
    pub destination: SocketAddress,
    pub interface: String,
    pub count: u64,
    pub bytes: u64,
}

/// Connections that found a listening socket's accept queue full.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListenOverflow {
    pub start: Timestamp,
    pub netns: u64,
    /// `ListenOverflows` and `ListenDrops` of the namespace in the window.
    pub overflows: u64,
    pub drops: u64,
    /// Sockets whose queue was full when looked at.
    pub listeners: Vec<FullListener>,
}

/// A listening socket whose accept queue is full.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FullListener {
    pub local: SocketAddress,
    /// Connections that wait to be accepted, and how many may.
    pub queued: u32,
    pub max: u32,
    pub owner: Option<Process>,
}

/// Datagrams that found a socket's receive buffer full.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SocketDrops {
    pub start: Timestamp,
    pub netns: u64,
    pub local: SocketAddress,
    pub count: u64,
}

/// ICMP errors of a window.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IcmpErrors {
    pub start: Timestamp,
    pub netns: u64,
    pub errors: Vec<IcmpError>,
}

/// Equal ICMP errors.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct IcmpError {
    /// For example `destination unreachable: port unreachable`.
    pub meaning: String,
    pub kind: u32,
    pub code: u32,
    /// 4 or 6.
    pub ip_version: u32,
    /// Of the packet that the error is about.
    pub source: SocketAddress,
    pub destination: SocketAddress,
    pub count: u64,
    /// It arrived in the namespace; otherwise it was sent from there.
    pub received: bool,
    /// Who sent the error.
    pub reporter: String,
    /// Largest packet that fits, of an error that says so; else 0.
    pub mtu: u32,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or a number; of the packet that the error is about.
    pub protocol: String,
}

/// Addresses on the link that nobody answered for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NeighborFailures {
    pub start: Timestamp,
    pub netns: u64,
    pub failures: Vec<NeighborFailure>,
}

/// One address that nobody answered for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NeighborFailure {
    pub address: String,
    pub interface: String,
    pub count: u64,
}

/// How full a namespace's connection tracking table is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConntrackUsage {
    pub start: Timestamp,
    pub netns: u64,
    pub entries: u64,
    pub max: u64,
    /// In the window.
    pub insert_failed: u64,
    pub drop: u64,
    pub early_drop: u64,
}

/// How many of a namespace's ephemeral ports are taken.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EphemeralPortUsage {
    pub start: Timestamp,
    pub netns: u64,
    pub first_port: u32,
    pub last_port: u32,
    /// Sockets in TIME_WAIT and in all states.
    pub time_wait: u64,
    pub in_use: u64,
    /// connect or bind that found no port, in the window, and to where most of them went.
    pub exhausted: u64,
    pub peer: Option<SocketAddress>,
}
