//! The one table of what the programs read: each row a field of the layout, where kernels keep it (renames
//! included), and who cannot do without. Must not read anything itself.

use inquest_agent_abi::{KernelLayout, Offset};

use super::{
    MissingField,
    btf::{KernelBtf, ResolveError},
};
use crate::probes::Family::{self, Exec, Exit, Oom, Signal};

/// Where kernels keep what a field of the layout points to.
struct Row {
    field: fn(&mut KernelLayout) -> &mut Offset,
    /// Tried in order.
    paths: &'static [&'static str],
    /// Families that cannot do without; the others go without what it tells.
    required_by: &'static [Family],
}

const fn row(
    field: fn(&mut KernelLayout) -> &mut Offset,
    paths: &'static [&'static str],
    required_by: &'static [Family],
) -> Row {
    Row {
        field,
        paths,
        required_by,
    }
}

const ALL: &[Family] = &Family::ALL;
/// Those that tell about tasks.
const TASKS: &[Family] = &[Oom, Exit, Exec, Signal];
const OPTIONAL: &[Family] = &[];

/// A `struct mem_cgroup` starts with its css, so offsets from the one are offsets from the other.
const TABLE: &[Row] = &[
    row(|l| &mut l.task.cgroups, &["task_struct.cgroups"], TASKS),
    row(|l| &mut l.task.comm, &["task_struct.comm"], OPTIONAL),
    row(
        |l| &mut l.task.exit_code,
        &["task_struct.exit_code"],
        &[Exit],
    ),
    row(
        |l| &mut l.task.group_leader,
        &["task_struct.group_leader"],
        TASKS,
    ),
    row(|l| &mut l.task.mm, &["task_struct.mm"], OPTIONAL),
    row(|l| &mut l.task.pid, &["task_struct.pid"], TASKS),
    row(
        |l| &mut l.task.real_parent,
        &["task_struct.real_parent"],
        OPTIONAL,
    ),
    row(|l| &mut l.task.signal, &["task_struct.signal"], TASKS),
    row(
        |l| &mut l.task.start_time,
        &["task_struct.start_time"],
        TASKS,
    ),
    row(|l| &mut l.task.tgid, &["task_struct.tgid"], TASKS),
    row(
        |l| &mut l.process.flags,
        &["signal_struct.flags"],
        &[Exit, Signal],
    ),
    row(
        |l| &mut l.process.group_exit_code,
        &["signal_struct.group_exit_code"],
        &[Exit],
    ),
    row(|l| &mut l.process.live, &["signal_struct.live"], &[Exit]),
    row(
        |l| &mut l.process.oom_score_adj,
        &["signal_struct.oom_score_adj"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.process.tgid_pid,
        &["signal_struct.pids[PIDTYPE_TGID]"],
        OPTIONAL,
    ),
    row(|l| &mut l.process.pid_level, &["pid.level"], OPTIONAL),
    row(
        |l| &mut l.process.pid_number,
        &["pid.numbers[0].nr"],
        OPTIONAL,
    ),
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
    row(
        |l| &mut l.memory.mm_file,
        &[
            "mm_struct.rss_stat[MM_FILEPAGES].count",
            "mm_struct.rss_stat.count[MM_FILEPAGES]",
        ],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.mm_shmem,
        &[
            "mm_struct.rss_stat[MM_SHMEMPAGES].count",
            "mm_struct.rss_stat.count[MM_SHMEMPAGES]",
        ],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.mm_swap,
        &[
            "mm_struct.rss_stat[MM_SWAPENTS].count",
            "mm_struct.rss_stat.count[MM_SWAPENTS]",
        ],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.usage,
        &["mem_cgroup.memory.usage"],
        &[Oom],
    ),
    row(|l| &mut l.memory.max, &["mem_cgroup.memory.max"], &[Oom]),
    row(
        |l| &mut l.memory.failcnt,
        &["mem_cgroup.memory.failcnt"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.memsw_usage,
        &["mem_cgroup.memsw.usage"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.memsw_max,
        &["mem_cgroup.memsw.max"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.oom_events,
        &["mem_cgroup.memory_events_local[MEMCG_OOM]"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.memory.oom_group,
        &["mem_cgroup.oom_group"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.signal.code,
        &["kernel_siginfo.si_code"],
        &[Signal],
    ),
    row(
        |l| &mut l.signal.fault_address,
        &["kernel_siginfo._sifields._sigfault._addr"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.binprm_filename,
        &["linux_binprm.filename"],
        &[Exec],
    ),
];

/// Fills in `layout` from the kernel's type information; returns what it does not have.
pub(crate) fn resolve(btf: &KernelBtf, layout: &mut KernelLayout) -> Vec<MissingField> {
    let mut missing = Vec::new();
    for row in TABLE {
        match first(btf, row.paths) {
            Ok(offset) => *(row.field)(layout) = Offset::new(offset),
            Err(error) => missing.push(MissingField {
                path: row.paths.first().copied().unwrap_or_default(),
                required_by: row.required_by,
                reason: error.to_string(),
            }),
        }
    }
    match btf.element_size("pid.numbers") {
        Ok(size) => layout.process.pid_number_size = size,
        // Without the size, no number but the first could be found.
        Err(_) => layout.process.pid_number = Offset::ABSENT,
    }
    let told = |tracepoint, index| btf.tracepoint_argument_is_pointer(tracepoint, index);
    layout.mark_victim_has_task = u32::from(matches!(told("mark_victim", 0), Ok(Some(true))));
    layout.exit_has_group_dead =
        u32::from(matches!(told("sched_process_exit", 1), Ok(Some(false))));
    missing
}

/// Returns the first path that resolves, else why the first did not.
fn first(btf: &KernelBtf, paths: &[&str]) -> Result<u32, ResolveError> {
    let mut first_error = None;
    for path in paths {
        match btf.offset(path) {
            Ok(offset) => return Ok(offset),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| ResolveError::NoField(String::new())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_fills_a_field_of_its_own() {
        let mut layout = KernelLayout::UNKNOWN;
        for (number, row) in TABLE.iter().enumerate() {
            let field = (row.field)(&mut layout);
            assert_eq!(*field, Offset::ABSENT, "{:?} shares its field", row.paths);
            *field = Offset::new(number as u32);
        }
    }
}
