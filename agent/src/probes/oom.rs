//! The probe of OOM kills.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::Oom,
    name: "mark_victim",
    category: "oom",
    programs: ["oom_tp_btf", "oom_raw_tp", "oom_tracepoint"],
    stands_alone: true,
    has_fields: |fields| fields.mark_victim_pid.get().is_some(),
    without: "which processes the OOM killer killed, and at whose memory limit",
    meter: Meter::MARK_VICTIM,
    attached_ns: Probe::TRACEPOINT_NS,
};
