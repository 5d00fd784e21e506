//! Tasks, the processes they belong to, their signals and executions. Must not read anything itself.

use super::{OPTIONAL, Row, TASKS, row};
use crate::probes::Family::{Exec, Exit, Signal};

pub(super) const TABLE: &[Row] = &[
    row(|l| &mut l.task.cgroups, &["task_struct.cgroups"], TASKS),
    row(|l| &mut l.task.comm, &["task_struct.comm"], OPTIONAL),
    row(|l| &mut l.task.cred, &["task_struct.cred"], OPTIONAL),
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
    row(
        |l| &mut l.task.seccomp_filter,
        &["task_struct.seccomp.filter"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.task.seccomp_mode,
        &["task_struct.seccomp.mode"],
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
        |l| &mut l.privilege.effective,
        &["cred.cap_effective"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.privilege.always_allowed,
        &["seccomp_filter.cache.allow_native"],
        OPTIONAL,
    ),
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
        |l| &mut l.signal.call,
        &["kernel_siginfo._sifields._sigsys._syscall"],
        OPTIONAL,
    ),
    row(
        |l| &mut l.binprm_filename,
        &["linux_binprm.filename"],
        &[Exec],
    ),
];
