//! Turns executions that failed into signals, each with what its file asks for. Must not judge why they failed.

mod file;
mod search;

use inquest_agent_abi::{ExecFailed, Process};
use inquest_proto::v1;

use super::{cgroupfs::CgroupFs, clock::ktime_now_ns};
use crate::{attribute::Attributor, loss::Losses, syscalls::errno_name};
use file::{ExecFiles, Seeker};
use search::{ExecFailure, Searches};

/// What is remembered between two failures.
#[derive(Debug, Default)]
pub(super) struct ExecFailures {
    searches: Searches,
    files: ExecFiles,
}

impl ExecFailures {
    /// Takes note of a failure.
    pub(super) fn failed(&mut self, failed: &ExecFailed, losses: &mut Losses) {
        self.searches.failed(failed, losses);
    }

    /// Takes note that a process executed something.
    pub(super) fn executed(&mut self, process: &Process) {
        self.searches.executed(process);
    }

    /// Returns the failures that came to nothing since the last time.
    pub(super) async fn due(
        &mut self,
        attributor: &mut Attributor,
        cgroups: &CgroupFs,
        losses: &mut Losses,
    ) -> Vec<v1::Signal> {
        let cgroup_of = |failed: &ExecFailed| attributor.identity(&failed.cgroups);
        let due = self.searches.due(ktime_now_ns(), cgroup_of, losses);
        let mut signals = Vec::with_capacity(due.len());
        for failure in due {
            signals.push(self.signal(failure, attributor, cgroups).await);
        }
        signals
    }

    async fn signal(
        &self,
        failure: ExecFailure,
        attributor: &mut Attributor,
        cgroups: &CgroupFs,
    ) -> v1::Signal {
        let ExecFailure {
            record,
            filename,
            count,
        } = failure;
        let cgroup = attributor.identity(&record.cgroups);
        let path = attributor.path(cgroup, record.header.ktime_ns);
        let seeker = Seeker {
            pids: [record.process.pid, record.process.parent_pid],
            cgroup: path.as_deref().unwrap_or_default().to_owned(),
            memberships: cgroups.memberships().clone(),
            mount_namespace: record.mount_namespace,
        };
        let file = self.files.look(seeker, filename.clone()).await;
        let file_read = file.is_some();
        let file = file.unwrap_or_default();
        let told = v1::ExecFailure {
            filename,
            errno: errno_name(record.errno),
            interpreter: file.interpreter,
            machine: file.machine,
            count,
            file_read,
        };
        attributor.exec_failure_signal(&record, told)
    }
}
