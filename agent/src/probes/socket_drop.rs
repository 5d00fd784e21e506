//! The probe of datagrams that find a receive buffer full.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::SocketDrop,
    name: "udp_fail_queue_rcv_skb",
    category: "udp",
    programs: [
        "socket_drop_tp_btf",
        "socket_drop_raw_tp",
        Probe::NO_PROGRAM,
    ],
    stands_alone: false,
    has_fields: |_| false,
    without: "which sockets lose datagrams because nobody reads them in time",
    meter: Meter::UDP_FAIL_QUEUE_RCV_SKB,
    attached_ns: Probe::TRACEPOINT_NS,
};
