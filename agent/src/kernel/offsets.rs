//! The tables of what the programs read: each row a field of the layout, where kernels keep it (renames
//! included), and who cannot do without. Must not read anything itself.

mod block;
mod cgroup;
mod memory;
mod net;
mod syscall;
mod task;
mod wait;

use inquest_agent_abi::{KernelLayout, Offset};

use super::{
    MissingField,
    btf::{KernelBtf, ResolveError},
};
use crate::probes::Family::{
    self, Exec, Exit, Oom, SchedSwitch, SchedWakeup, Signal, Syscall, TcpState,
};

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
const TASKS: &[Family] = &[
    Oom,
    Exit,
    Exec,
    Signal,
    SchedSwitch,
    SchedWakeup,
    Syscall,
    TcpState,
];
const OPTIONAL: &[Family] = &[];

/// One table for each part of the layout.
const TABLES: &[&[Row]] = &[
    task::TABLE,
    cgroup::TABLE,
    memory::TABLE,
    net::TABLE,
    wait::TABLE,
    block::TABLE,
    syscall::TABLE,
];

/// Fills in `layout` from the kernel's type information; returns what it does not have.
pub(crate) fn resolve(btf: &KernelBtf, layout: &mut KernelLayout) -> Vec<MissingField> {
    let mut missing = Vec::new();
    for row in TABLES.iter().copied().flatten() {
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
        Ok(size) => layout.pid_number_size = size,
        // Without the size, no number but the first could be found.
        Err(_) => layout.process.pid_number = Offset::ABSENT,
    }
    let told = |tracepoint, index| btf.tracepoint_argument_is_pointer(tracepoint, index);
    layout.mark_victim_has_task = u32::from(matches!(told("mark_victim", 0), Ok(Some(true))));
    layout.exit_has_group_dead =
        u32::from(matches!(told("sched_process_exit", 1), Ok(Some(false))));
    layout.drop.has_reason = u32::from(matches!(told("kfree_skb", 2), Ok(Some(_))));
    layout.drop.has_socket = u32::from(matches!(told("kfree_skb", 3), Ok(Some(true))));
    layout.block_issue_has_queue = u32::from(matches!(told("block_rq_issue", 1), Ok(Some(true))));
    layout.switch_has_state = u32::from(matches!(told("sched_switch", 3), Ok(Some(false))));
    let lent = btf.has_constant("BPF_FUNC_get_current_task_btf");
    layout.has_current_task_btf = u32::from(lent);
    layout.has_capability_checks = u32::from(matches!(told("cap_capable", 3), Ok(Some(false))));
    layout.tcp.reset_has_reason = u32::from(matches!(told("tcp_send_reset", 2), Ok(Some(_))));
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
        for (number, row) in TABLES.iter().copied().flatten().enumerate() {
            let field = (row.field)(&mut layout);
            assert_eq!(*field, Offset::ABSENT, "{:?} shares its field", row.paths);
            *field = Offset::new(number as u32);
        }
    }
}
