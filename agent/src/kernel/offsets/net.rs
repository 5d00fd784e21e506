//! Packets, sockets, devices and network namespaces. Must not read anything itself.

use super::{OPTIONAL, Row, row};
use crate::probes::Family::{
    self, Drop, Neighbor, PacketReceived, PacketSent, SocketDrop, TcpResetReceived, TcpResetSent,
    TcpRetransmit, TcpState,
};

/// Those that read a packet's headers.
const PACKETS: &[Family] = &[Drop, PacketSent, PacketReceived];
/// Those that tell what a socket is bound to.
const SOCKETS: &[Family] = &[
    SocketDrop,
    TcpState,
    TcpRetransmit,
    TcpResetSent,
    TcpResetReceived,
];
/// Those that tell the network namespace of a device.
const DEVICES: &[Family] = &[Drop, PacketSent, PacketReceived, Neighbor];
/// Those that read the table of neighbors.
const NEIGHBORS: &[Family] = &[Neighbor];
/// Those that tell a connection's ends.
const CONNECTIONS: &[Family] = &[TcpState, TcpRetransmit, TcpResetSent, TcpResetReceived];
/// Those that tell the network namespace of a socket.
const NAMESPACES: &[Family] = &[
    Drop,
    SocketDrop,
    PacketSent,
    PacketReceived,
    TcpState,
    TcpRetransmit,
    TcpResetSent,
    TcpResetReceived,
];

/// Both of these, which all end at an inode.
const INODES: &[Family] = &[
    Drop,
    SocketDrop,
    Neighbor,
    PacketSent,
    PacketReceived,
    TcpState,
    TcpRetransmit,
    TcpResetSent,
    TcpResetReceived,
];

pub(super) const TABLE: &[Row] = &[
    row(|l| &mut l.task.stack, &["task_struct.stack"], OPTIONAL),
    row(|l| &mut l.task.nsproxy, &["task_struct.nsproxy"], OPTIONAL),
    row(|l| &mut l.packet.task_netns, &["nsproxy.net_ns"], OPTIONAL),
    row(|l| &mut l.packet.device, &["sk_buff.dev"], PACKETS),
    row(|l| &mut l.packet.socket, &["sk_buff.sk"], PACKETS),
    row(|l| &mut l.packet.len, &["sk_buff.len"], PACKETS),
    row(|l| &mut l.packet.paged_len, &["sk_buff.data_len"], OPTIONAL),
    row(|l| &mut l.packet.protocol, &["sk_buff.protocol"], PACKETS),
    row(
        |l| &mut l.packet.network_header,
        &["sk_buff.network_header"],
        PACKETS,
    ),
    row(|l| &mut l.packet.head, &["sk_buff.head"], PACKETS),
    row(
        |l| &mut l.packet.data,
        &["sk_buff.data"],
        &[PacketSent, PacketReceived],
    ),
    row(|l| &mut l.packet.route, &["sk_buff._skb_refdst"], OPTIONAL),
    row(
        |l| &mut l.packet.route_device,
        &["dst_entry.dev", "dst_entry.dev_rcu"],
        OPTIONAL,
    ),
    // Both are there unless the kernel knows no network namespaces.
    row(
        |l| &mut l.packet.device_netns,
        &["net_device.nd_net.net"],
        DEVICES,
    ),
    row(
        |l| &mut l.packet.device_index,
        &["net_device.ifindex"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.packet.device_name,
        &["net_device.name"],
        OPTIONAL,
    ),
    row(|l| &mut l.packet.netns_inode, &["net.ns.inum"], INODES),
    row(
        |l| &mut l.socket.netns,
        &["sock_common.skc_net.net"],
        NAMESPACES,
    ),
    row(
        |l| &mut l.socket.state,
        &["sock_common.skc_state"],
        CONNECTIONS,
    ),
    row(
        |l| &mut l.socket.family,
        &["sock_common.skc_family"],
        SOCKETS,
    ),
    row(
        |l| &mut l.socket.local_port,
        &["inet_sock.inet_sport"],
        SOCKETS,
    ),
    row(
        |l| &mut l.socket.peer_port,
        &["sock_common.skc_dport"],
        CONNECTIONS,
    ),
    row(
        |l| &mut l.socket.local_ipv4,
        &["sock_common.skc_rcv_saddr"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.socket.peer_ipv4,
        &["sock_common.skc_daddr"],
        CONNECTIONS,
    ),
    // Neither is there on a kernel without IPv6.
    row(
        |l| &mut l.socket.local_ipv6,
        &["sock_common.skc_v6_rcv_saddr"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.socket.peer_ipv6,
        &["sock_common.skc_v6_daddr"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.socket.protocol,
        &["sock.sk_protocol"],
        &[TcpState, PacketSent],
    ),
    row(|l| &mut l.socket.error, &["sock.sk_err"], &[TcpState]),
    row(|l| &mut l.socket.srtt, &["tcp_sock.srtt_us"], OPTIONAL),
    row(
        |l| &mut l.socket.bytes_sent,
        &["tcp_sock.bytes_sent"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.socket.bytes_sent_again,
        &["tcp_sock.bytes_retrans"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.socket.bytes_received,
        &["tcp_sock.bytes_received"],
        OPTIONAL,
    ),
    row(|l| &mut l.neighbor.table, &["neighbour.tbl"], NEIGHBORS),
    row(
        |l| &mut l.neighbor.table_family,
        &["neigh_table.family"],
        NEIGHBORS,
    ),
    row(
        |l| &mut l.neighbor.state,
        &["neighbour.nud_state"],
        NEIGHBORS,
    ),
    row(|l| &mut l.neighbor.device, &["neighbour.dev"], NEIGHBORS),
    row(
        |l| &mut l.neighbor.address,
        &["neighbour.primary_key"],
        NEIGHBORS,
    ),
    row(|l| &mut l.socket.cgroup, &["sock.sk_cgrp_data"], OPTIONAL),
];
