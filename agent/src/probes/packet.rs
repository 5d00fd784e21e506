//! The probes of packets, of which DNS messages and ICMP errors are told.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const SENT: Probe = Probe {
    family: Family::PacketSent,
    name: "net_dev_queue",
    category: "net",
    programs: [
        "packet_sent_tp_btf",
        "packet_sent_raw_tp",
        "packet_sent_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| fields.net_dev_queue_packet.get().is_some(),
    without: "which names are asked for, which queries nobody answers, and which ICMP errors are sent",
    meter: Meter::NET_DEV_QUEUE,
    attached_ns: Probe::TRACEPOINT_NS,
};

pub(super) const RECEIVED: Probe = Probe {
    family: Family::PacketReceived,
    name: "netif_receive_skb",
    category: "net",
    programs: [
        "packet_received_tp_btf",
        "packet_received_raw_tp",
        "packet_received_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| fields.netif_receive_skb_packet.get().is_some(),
    without: "how DNS queries are answered (all of them seem to time out), and which ICMP errors arrive",
    meter: Meter::NETIF_RECEIVE_SKB,
    attached_ns: Probe::TRACEPOINT_NS,
};
