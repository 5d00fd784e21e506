//! The probe of ends of processes.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::Exit,
    name: "sched_process_exit",
    category: "sched",
    programs: ["exit_tp_btf", "exit_raw_tp", "exit_tracepoint"],
    stands_alone: false,
    // The program reads the task that runs it.
    has_fields: |_| true,
    without: "which processes failed, with which code or by which signal",
    meter: Meter::SCHED_PROCESS_EXIT,
    attached_ns: Probe::TRACEPOINT_NS,
};
