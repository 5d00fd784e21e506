//! The probes of where threads spend their time, attached only while a cgroup is watched.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const SWITCH: Probe = Probe {
    family: Family::SchedSwitch,
    name: "sched_switch",
    category: "sched",
    programs: [
        "sched_switch_tp_btf",
        "sched_switch_raw_tp",
        "sched_switch_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| {
        [fields.sched_switch_prev_state, fields.sched_switch_next_pid]
            .iter()
            .all(|field| field.get().is_some())
    },
    without: "where the threads of a slow container spend their time",
    meter: Meter::SCHED_SWITCH,
    attached_ns: Probe::TRACEPOINT_NS,
};

pub(super) const WAKEUP: Probe = Probe {
    family: Family::SchedWakeup,
    name: "sched_wakeup",
    category: "sched",
    programs: [
        "sched_wakeup_tp_btf",
        "sched_wakeup_raw_tp",
        "sched_wakeup_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| fields.sched_wakeup_pid.get().is_some(),
    without: "how long the threads of a slow container wait for a CPU",
    meter: Meter::SCHED_WAKEUP,
    attached_ns: Probe::TRACEPOINT_NS,
};
