//! The probe of addresses on the link that nobody answers for.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::Neighbor,
    name: "neigh_timer_handler",
    category: "neigh",
    programs: ["neighbor_tp_btf", "neighbor_raw_tp", Probe::NO_PROGRAM],
    stands_alone: false,
    has_fields: |_| false,
    without: "which addresses on the link nobody answers for",
    meter: Meter::NEIGH_TIMER_HANDLER,
    attached_ns: Probe::TRACEPOINT_NS,
};
