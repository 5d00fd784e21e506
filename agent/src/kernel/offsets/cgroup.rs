//! From a task to the names and ids of its cgroups. Must not read anything itself.

use super::{ALL, OPTIONAL, Row, TASKS, row};
use crate::probes::Family::Oom;

pub(super) const TABLE: &[Row] = &[
    row(
        |l| &mut l.cgroup.memory_css,
        &["css_set.subsys[memory_cgrp_id]"],
        TASKS,
    ),
    row(|l| &mut l.cgroup.unified, &["css_set.dfl_cgrp"], TASKS),
    row(
        |l| &mut l.cgroup.css_cgroup,
        &["cgroup_subsys_state.cgroup"],
        TASKS,
    ),
    row(
        |l| &mut l.cgroup.css_parent,
        &["cgroup_subsys_state.parent"],
        &[Oom],
    ),
    row(|l| &mut l.cgroup.node, &["cgroup.kn"], ALL),
    row(|l| &mut l.cgroup.root, &["cgroup.root"], ALL),
    row(
        |l| &mut l.cgroup.hierarchy_id,
        &["cgroup_root.hierarchy_id"],
        ALL,
    ),
    row(|l| &mut l.cgroup.node_id, &["kernfs_node.id"], ALL),
    row(|l| &mut l.cgroup.node_name, &["kernfs_node.name"], &[Oom]),
    // Counters over CPUs since 6.2, plain ones before.
    row(
        |l| &mut l.memory.mm_anon,
        &[
            "mm_struct.rss_stat[MM_ANONPAGES].count",
            "mm_struct.rss_stat.count[MM_ANONPAGES]",
        ],
        OPTIONAL,
    ),
];
