//! The probe of where fatal signals come from.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::Signal,
    name: "signal_generate",
    category: "signal",
    programs: ["signal_tp_btf", "signal_raw_tp", "signal_tracepoint"],
    stands_alone: false,
    has_fields: |fields| {
        [
            fields.signal_generate_sig,
            fields.signal_generate_code,
            fields.signal_generate_pid,
            fields.signal_generate_result,
        ]
        .iter()
        .all(|field| field.get().is_some())
    },
    without: "who sent a fatal signal, and at which address a process crashed",
    meter: Meter::SIGNAL_GENERATE,
    attached_ns: Probe::TRACEPOINT_NS,
};
