//! The probe of missing capabilities.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::Capability,
    name: "cap_capable",
    category: "capability",
    programs: [
        "capability_tp_btf",
        "capability_raw_tp",
        "capability_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| {
        [fields.cap_capable_cap, fields.cap_capable_ret]
            .iter()
            .all(|field| field.get().is_some())
    },
    without: "which capability a call was refused for; before 6.14, where this probe cannot be had, calls on which one alone decides are told all the same",
    meter: Meter::CAP_CAPABLE,
    attached_ns: Probe::TRACEPOINT_NS,
};
