//! Where this kernel keeps packets, sockets, devices and their network namespaces.

use super::Offset;

offsets! {
    /// `struct sk_buff`, and from it to its device and network namespace.
    PacketLayout {
        /// `sk_buff.dev`
        device,
        /// `sk_buff.sk`
        socket,
        /// `sk_buff.len`
        len,
        /// `sk_buff.data_len`: of these, bytes that are in pages of their own
        paged_len,
        /// `sk_buff.protocol`
        protocol,
        /// `sk_buff.network_header`
        network_header,
        /// `sk_buff.head`
        head,
        /// `sk_buff.data`
        data,
        /// `sk_buff._skb_refdst`, a pointer with flags in its lowest bit
        route,
        /// `dst_entry.dev`
        route_device,
        /// `net_device.nd_net.net`
        device_netns,
        /// `net_device.ifindex`
        device_index,
        /// `net_device.name`
        device_name,
        /// `nsproxy.net_ns`
        task_netns,
        /// `net.ns.inum`
        netns_inode,
    }
}

offsets! {
    /// `struct sock`, which starts with a `struct sock_common`.
    SocketLayout {
        /// `sock_common.skc_net.net`
        netns,
        /// `sock_common.skc_state`
        state,
        /// `sock_common.skc_family`
        family,
        /// `inet_sock.inet_sport`, in network order; stays when the connection has ended
        local_port,
        /// `sock_common.skc_dport`, in network order
        peer_port,
        /// `sock_common.skc_rcv_saddr`
        local_ipv4,
        /// `sock_common.skc_daddr`
        peer_ipv4,
        /// `sock_common.skc_v6_rcv_saddr`
        local_ipv6,
        /// `sock_common.skc_v6_daddr`
        peer_ipv6,
        /// `sock.sk_protocol`
        protocol,
        /// `sock.sk_err`
        error,
        /// `tcp_sock.srtt_us`, in eighths of a microsecond
        srtt,
        /// `tcp_sock.bytes_sent`, those sent again included
        bytes_sent,
        /// `tcp_sock.bytes_retrans`
        bytes_sent_again,
        /// `tcp_sock.bytes_received`
        bytes_received,
        /// `sock.sk_cgrp_data`, of which the pointer to the v2 cgroup comes first
        cgroup,
    }
}

offsets! {
    /// `struct neighbour`, and from it to its table.
    NeighborLayout {
        /// `neighbour.tbl`
        table,
        /// `neigh_table.family`
        table_family,
        /// `neighbour.nud_state`
        state,
        /// `neighbour.dev`
        device,
        /// `neighbour.primary_key`, the address
        address,
    }
}

/// What the programs must know of the tracepoints of TCP.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TcpLayout {
    /// 1 when `tcp_send_reset` is given a reason as its third argument: since 6.10.
    pub reset_has_reason: u32,
}

impl TcpLayout {
    /// Of a kernel of which nothing is known.
    pub const UNKNOWN: Self = Self {
        reset_has_reason: 0,
    };
}

/// What the programs must know of `enum skb_drop_reason` and of the tracepoint that carries it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DropLayout {
    /// A bit for each reason of the core that is no loss to anyone: not counted.
    pub ignored: [u32; DropLayout::IGNORED_WORDS],
    /// 1 when `kfree_skb` is given the reason as its third argument: since 5.17.
    pub has_reason: u32,
    /// 1 when `kfree_skb` is given the receiving socket as its fourth argument: since 6.11.
    pub has_socket: u32,
}

impl DropLayout {
    /// Words of [`Self::ignored`]: room for twice the reasons that 6.18 has.
    pub const IGNORED_WORDS: usize = 8;

    /// Of a kernel of which nothing is known.
    pub const UNKNOWN: Self = Self {
        ignored: [0; Self::IGNORED_WORDS],
        has_reason: 0,
        has_socket: 0,
    };
}
