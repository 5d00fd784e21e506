//! The probes of TCP connections.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const STATE: Probe = Probe {
    family: Family::TcpState,
    meter: Meter::INET_SOCK_SET_STATE,
    attached_ns: Probe::TRACEPOINT_NS,
    name: "inet_sock_set_state",
    category: "sock",
    programs: [
        "tcp_state_tp_btf",
        "tcp_state_raw_tp",
        "tcp_state_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| {
        [
            fields.inet_sock_set_state_socket,
            fields.inet_sock_set_state_old,
            fields.inet_sock_set_state_new,
        ]
        .iter()
        .all(|field| field.get().is_some())
    },
    without: "which connections were refused, timed out or were reset, and who talks to whom",
};

pub(super) const RETRANSMIT: Probe = Probe {
    family: Family::TcpRetransmit,
    meter: Meter::TCP_RETRANSMIT_SKB,
    attached_ns: Probe::TRACEPOINT_NS,
    name: "tcp_retransmit_skb",
    category: "tcp",
    programs: [
        "tcp_retransmit_tp_btf",
        "tcp_retransmit_raw_tp",
        "tcp_retransmit_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| fields.tcp_retransmit_skb_socket.get().is_some(),
    without: "which peers do not answer a connect, and which paths lose segments",
};

pub(super) const RESET_SENT: Probe = Probe {
    family: Family::TcpResetSent,
    meter: Meter::TCP_SEND_RESET,
    attached_ns: Probe::TRACEPOINT_NS,
    name: "tcp_send_reset",
    category: "tcp",
    programs: [
        "tcp_reset_sent_tp_btf",
        "tcp_reset_sent_raw_tp",
        "tcp_reset_sent_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| {
        [fields.tcp_send_reset_socket, fields.tcp_send_reset_packet]
            .iter()
            .all(|field| field.get().is_some())
    },
    without: "which connections this node's own side reset, and why",
};

pub(super) const RESET_RECEIVED: Probe = Probe {
    family: Family::TcpResetReceived,
    meter: Meter::TCP_RECEIVE_RESET,
    attached_ns: Probe::TRACEPOINT_NS,
    name: "tcp_receive_reset",
    category: "tcp",
    programs: [
        "tcp_reset_received_tp_btf",
        "tcp_reset_received_raw_tp",
        "tcp_reset_received_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| fields.tcp_receive_reset_socket.get().is_some(),
    without: "which connections a peer reset",
};
