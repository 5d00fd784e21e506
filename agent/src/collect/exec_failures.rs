//! Turns executions that failed into signals, within the rate that one cgroup may cause. Must not judge why they
//! failed.

use inquest_agent_abi::ExecFailed;
use inquest_proto::v1::{self, loss::Stage};

use super::rate_limit::RateLimit;
use crate::{attribute::Attributor, loss::Losses};

/// What is remembered between two failures.
#[derive(Debug, Default)]
pub(super) struct ExecFailures {
    rate: RateLimit,
}

impl ExecFailures {
    /// Returns that an execution failed.
    pub(super) fn failed(
        &mut self,
        failed: &ExecFailed,
        attributor: &mut Attributor,
        losses: &mut Losses,
    ) -> Option<v1::Signal> {
        let cgroup = attributor.identity(&failed.cgroups);
        if self.rate.admit(cgroup, failed.header.ktime_ns) {
            Some(attributor.exec_failure_signal(failed))
        } else {
            losses.add(Stage::RateLimit, "cgroup_exec_failure_rate", 1);
            None
        }
    }
}
