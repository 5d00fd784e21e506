//! `kernel-lockup`: the node's kernel is stuck or has hurt itself. Must not hold for a slow disk, which
//! also makes tasks hang, when the kernel names no lock-up.

use super::{Detector, Verdict, node_event};
use crate::correlate::case::Case;
use crate::detect::claim::Claim;
use crate::model::Severity;
use crate::model::signal::NodeEventKind;

/// Kinds that no workload can be at fault for.
const STUCK: [NodeEventKind; 4] = [
    NodeEventKind::SoftLockup,
    NodeEventKind::RcuStall,
    NodeEventKind::Oops,
    NodeEventKind::HungTask,
];

/// Finds kernels that are stuck.
pub(super) struct KernelLockup;

impl Detector for KernelLockup {
    fn cause(&self) -> &'static str {
        "kernel-lockup"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(events) = node_event::of_kinds(case, &STUCK) else {
            return Verdict::Silent;
        };
        let is_only_hung = events
            .records()
            .all(|event| event.kind == NodeEventKind::HungTask);
        let (what, explanation) = if is_only_hung {
            (
                "a task has been waiting in the kernel for minutes",
                "The task waits uninterruptibly: mostly for a disk or a network file system that does not \
                 answer, at times for a lock inside the kernel.",
            )
        } else {
            (
                "its kernel is stuck or has faulted",
                "A CPU did not schedule for too long, or the kernel ran into a fault of its own. What runs \
                 there stands still, and the node may follow.",
            )
        };
        Claim {
            severity: if is_only_hung {
                Severity::Warning
            } else {
                Severity::Critical
            },
            what: what.to_owned(),
            headline: format!("{}: {what}", case.subject()),
            explanation: explanation.to_owned(),
            impact: "any workload of the node may stand still without a fault of its own"
                .to_owned(),
            remediation: vec![
                "read the stack trace below the line in the kernel's log: dmesg -T".to_owned(),
                "for hung tasks, look at the disk or file system that the trace names".to_owned(),
                "drain the node, update kernel and firmware, and reboot it".to_owned(),
            ],
            ..events.claim(case, self.cause())
        }
        .holds(case)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::signal::{NodeEvent, NodeEventKind};
    use crate::model::{Severity, Signal, SignalBody};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const SCENARIO: Scenario = Scenario {
        cause: "kernel-lockup",
        severity: Severity::Critical,
        nature: Nature::Event,
        signals,
        supports: &[1],
        look_alikes,
    };

    fn event(id: &str, ms: i64, event: NodeEvent) -> Signal {
        let node = Actor::new("unused", 1).unattributed();
        node.signal(id, at_ms(ms), SignalBody::NodeEvent(event))
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        let event_of = NodeEvent {
            kind: NodeEventKind::SoftLockup,
            text: "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [kworker/1:2:77]".to_owned(),
            count: 1,
            ..NodeEvent::default()
        };
        vec![event(&format!("event-{round}"), ms, event_of)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let log = NodeEvent {
            kind: NodeEventKind::KernelLog,
            text: "eth0: link is up".to_owned(),
            ..NodeEvent::default()
        };
        vec![("an ordinary line of the log", vec![event("e", 0, log)])]
    }

    stands!(SCENARIO);
}
