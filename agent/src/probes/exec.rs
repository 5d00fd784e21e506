//! The probe of executions.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::Exec,
    name: "sched_process_exec",
    category: "sched",
    programs: ["exec_tp_btf", "exec_raw_tp", "exec_tracepoint"],
    stands_alone: false,
    has_fields: |fields| fields.sched_process_exec_filename.get().is_some(),
    without: "which programs were started before a failure",
    meter: Meter::SCHED_PROCESS_EXEC,
    attached_ns: Probe::TRACEPOINT_NS,
};
