//! The probes of DNS messages.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const QUERY: Probe = Probe {
    family: Family::DnsQuery,
    name: "net_dev_queue",
    category: "net",
    programs: [
        "dns_query_tp_btf",
        "dns_query_raw_tp",
        "dns_query_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| fields.net_dev_queue_packet.get().is_some(),
    without: "which names are asked for, and which queries nobody answers",
    meter: Meter::NET_DEV_QUEUE,
    attached_ns: Probe::TRACEPOINT_NS,
};

pub(super) const ANSWER: Probe = Probe {
    family: Family::DnsAnswer,
    name: "netif_receive_skb",
    category: "net",
    programs: [
        "dns_answer_tp_btf",
        "dns_answer_raw_tp",
        "dns_answer_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| fields.netif_receive_skb_packet.get().is_some(),
    without: "how DNS queries are answered: all of them seem to time out",
    meter: Meter::NETIF_RECEIVE_SKB,
    attached_ns: Probe::TRACEPOINT_NS,
};
