//! Packets, sockets, devices and network namespaces. Must not read anything itself.

use super::{OPTIONAL, Row, row};
use crate::probes::Family::Drop;

pub(super) const TABLE: &[Row] = &[
    row(|l| &mut l.task.nsproxy, &["task_struct.nsproxy"], OPTIONAL),
    row(|l| &mut l.packet.task_netns, &["nsproxy.net_ns"], OPTIONAL),
    row(|l| &mut l.packet.device, &["sk_buff.dev"], &[Drop]),
    row(|l| &mut l.packet.socket, &["sk_buff.sk"], &[Drop]),
    row(|l| &mut l.packet.len, &["sk_buff.len"], &[Drop]),
    row(|l| &mut l.packet.protocol, &["sk_buff.protocol"], &[Drop]),
    row(
        |l| &mut l.packet.network_header,
        &["sk_buff.network_header"],
        &[Drop],
    ),
    row(|l| &mut l.packet.head, &["sk_buff.head"], &[Drop]),
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
        &[Drop],
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
    row(|l| &mut l.packet.netns_inode, &["net.ns.inum"], &[Drop]),
    row(
        |l| &mut l.socket.netns,
        &["sock_common.skc_net.net"],
        &[Drop],
    ),
    row(
        |l| &mut l.socket.state,
        &["sock_common.skc_state"],
        OPTIONAL,
    ),
    row(|l| &mut l.socket.cgroup, &["sock.sk_cgrp_data"], OPTIONAL),
];
