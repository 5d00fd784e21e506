//! The probe of cgroups that are removed.

use inquest_agent_abi::Meter;

use super::{Family, Probe, cgroup};

pub(super) const PROBE: Probe = Probe {
    family: Family::Removal,
    name: "cgroup_rmdir",
    category: "cgroup",
    programs: ["removal_tp_btf", "removal_raw_tp", "removal_tracepoint"],
    stands_alone: true,
    has_fields: cgroup::PROBE.has_fields,
    without: "when containers were removed, and how long they were there",
    meter: Meter::CGROUP_RMDIR,
    attached_ns: Probe::TRACEPOINT_NS,
};
