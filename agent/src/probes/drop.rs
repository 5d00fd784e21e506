//! The probe of dropped packets.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::Drop,
    name: "kfree_skb",
    category: "skb",
    programs: ["drop_tp_btf", "drop_raw_tp", "drop_tracepoint"],
    stands_alone: false,
    has_fields: |fields| {
        [fields.kfree_skb_packet, fields.kfree_skb_location]
            .iter()
            .all(|field| field.get().is_some())
    },
    without: "which packets the kernel dropped, and why",
    meter: Meter::KFREE_SKB,
    attached_ns: Probe::TRACEPOINT_NS,
};
