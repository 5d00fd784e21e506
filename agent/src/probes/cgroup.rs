//! The probe of new cgroups.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const PROBE: Probe = Probe {
    family: Family::Cgroup,
    name: "cgroup_mkdir",
    category: "cgroup",
    programs: ["cgroup_tp_btf", "cgroup_raw_tp", "cgroup_tracepoint"],
    stands_alone: true,
    has_fields: |fields| {
        [
            fields.cgroup_mkdir_root,
            fields.cgroup_mkdir_id,
            fields.cgroup_mkdir_path,
        ]
        .iter()
        .all(|field| field.get().is_some())
    },
    without: "the names of containers that lived too short to be looked up",
    meter: Meter::CGROUP_MKDIR,
    attached_ns: Probe::TRACEPOINT_NS,
};
