//! Emits executions that failed.

use inquest_agent_abi::{ExecFailed, Lane, RecordKind};

use super::Failure;
use crate::{
    emit::emit_within_rate,
    kernel_read::{Address, TaskPtr, read_user_text},
};

/// Emits that the file `path` of the current process could not be executed.
#[inline(always)]
pub(super) fn record(failure: Failure, path: Address) {
    let task = TaskPtr::current();
    // SAFETY: an `ExecFailed` is what the kind says; every field is written.
    unsafe {
        emit_within_rate(
            Lane::Bulk,
            RecordKind::EXEC_FAILED,
            failure.cgroup,
            |record: *mut ExecFailed| {
                task.describe(&raw mut (*record).process);
                (*record).cgroups = task.cgroups();
                (*record).errno = failure.errno;
                (*record).mount_namespace = task.mount_namespace();
                read_user_text(path, &raw mut (*record).filename);
            },
        );
    }
}
