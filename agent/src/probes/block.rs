//! The probes of requests to block devices.

use inquest_agent_abi::Meter;

use super::{Family, Probe};

pub(super) const ISSUE: Probe = Probe {
    family: Family::BlockIssue,
    name: "block_rq_issue",
    category: "block",
    programs: [
        "block_issue_tp_btf",
        "block_issue_raw_tp",
        "block_issue_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| {
        [fields.block_rq_issue_dev, fields.block_rq_issue_sector]
            .iter()
            .all(|field| field.get().is_some())
    },
    without: "how long disks take, and for which container",
    meter: Meter::BLOCK_RQ_ISSUE,
    attached_ns: Probe::TRACEPOINT_NS,
};

pub(super) const COMPLETE: Probe = Probe {
    family: Family::BlockComplete,
    name: "block_rq_complete",
    category: "block",
    programs: [
        "block_complete_tp_btf",
        "block_complete_raw_tp",
        "block_complete_tracepoint",
    ],
    stands_alone: false,
    has_fields: |fields| {
        [
            fields.block_rq_complete_dev,
            fields.block_rq_complete_sector,
            fields.block_rq_complete_nr_sector,
            fields.block_rq_complete_error,
        ]
        .iter()
        .all(|field| field.get().is_some())
    },
    without: "errors of disks, and how long they take",
    meter: Meter::BLOCK_RQ_COMPLETE,
    attached_ns: Probe::TRACEPOINT_NS,
};
