//! `clock-skew`: the node's wall clock was stepped, so that it had been wrong. Must not hold for the small
//! corrections of a time service.

use std::time::Duration;

use super::{Detector, Verdict, node_event};
use crate::correlate::case::Case;
use crate::detect::claim::Claim;
use crate::explain::clock::duration;
use crate::model::signal::NodeEventKind;

/// Certificates, tokens and leases begin to fail at skews of seconds.
const MIN_STEP: Duration = Duration::from_secs(1);

/// Finds clocks that were wrong.
pub(super) struct ClockSkew;

impl Detector for ClockSkew {
    fn cause(&self) -> &'static str {
        "clock-skew"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(events) = node_event::of_kinds(case, &[NodeEventKind::ClockStep]) else {
            return Verdict::Silent;
        };
        let steps = events.records().map(|event| event.step_ns);
        let largest = steps.max_by_key(|step| step.unsigned_abs()).unwrap_or(0);
        let step = Duration::from_nanos(largest.unsigned_abs());
        if step < MIN_STEP {
            return Verdict::Silent;
        }
        let direction = if largest < 0 { "back" } else { "forwards" };
        Claim {
            what: "the wall clock was stepped".to_owned(),
            headline: format!(
                "{}: the wall clock was stepped {direction} by {}",
                case.subject(),
                duration(step)
            ),
            explanation: "Before the step or after it the clock was wrong: certificates and tokens may have \
                          looked expired or not yet valid, and times in logs from before and after do not compare."
                .to_owned(),
            impact: "errors of certificates, tokens and leases on this node may have this cause".to_owned(),
            remediation: vec![
                "look at the time service: chronyc tracking, timedatectl timesync-status".to_owned(),
                "find out what stepped the clock: a virtual machine that was resumed, a person, a time service that began late".to_owned(),
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
        cause: "clock-skew",
        severity: Severity::Warning,
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
            kind: NodeEventKind::ClockStep,
            step_ns: -7_500_000_000,
            count: 1,
            ..NodeEvent::default()
        };
        vec![event(&format!("event-{round}"), ms, event_of)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let slewed = NodeEvent {
            kind: NodeEventKind::ClockStep,
            step_ns: 20_000_000,
            ..NodeEvent::default()
        };
        vec![("a small correction", vec![event("e", 0, slewed)])]
    }

    stands!(SCENARIO);
}
