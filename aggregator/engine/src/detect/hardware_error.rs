//! `hardware-error`: the node's hardware reported a fault. Must not hold for a single error that was
//! corrected.

use super::{Detector, Verdict, node_event};
use crate::correlate::case::Case;
use crate::detect::claim::Claim;
use crate::model::Severity;
use crate::model::signal::NodeEventKind;

/// Reports of the hardware.
const KINDS: [NodeEventKind; 2] = [NodeEventKind::MachineCheck, NodeEventKind::NicReset];

/// Finds hardware that fails.
pub(super) struct HardwareError;

impl Detector for HardwareError {
    fn cause(&self) -> &'static str {
        "hardware-error"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(events) = node_event::of_kinds(case, &KINDS) else {
            return Verdict::Silent;
        };
        let mut texts = events.records().map(|event| event.text.to_lowercase());
        let is_corrected =
            texts.all(|text| text.contains("corrected") && !text.contains("uncorrected"));
        if is_corrected && events.count() == 1 {
            return Verdict::Silent;
        }
        let is_network = events
            .records()
            .all(|event| event.kind == NodeEventKind::NicReset);
        let (what, next) = if is_network {
            (
                format!("its network card was reset: {}", events.device()),
                "look at the card's counters and firmware: ethtool -S, ethtool -i",
            )
        } else {
            (
                "its hardware reported errors".to_owned(),
                "decode them: ras-mc-ctl --errors, mcelog, or the management controller's event log",
            )
        };
        Claim {
            severity: if is_corrected {
                Severity::Warning
            } else {
                Severity::Critical
            },
            headline: format!("{}: {what}", case.subject()),
            what,
            explanation: "The report comes from the hardware or its driver, not from a program: what runs on \
                          the node can lose data, crash or lose its network without a fault of its own."
                .to_owned(),
            impact: "crashes and lost connections on this node may have this cause".to_owned(),
            remediation: vec![
                next.to_owned(),
                "drain the node and have the part replaced when errors repeat".to_owned(),
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
        cause: "hardware-error",
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
            kind: NodeEventKind::MachineCheck,
            text: "mce: [Hardware Error]: Machine check events logged, uncorrected".to_owned(),
            count: 1,
            ..NodeEvent::default()
        };
        vec![event(&format!("event-{round}"), ms, event_of)]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let corrected = NodeEvent {
            kind: NodeEventKind::MachineCheck,
            text: "EDAC MC0: 1 CE corrected memory read error".to_owned(),
            count: 1,
            ..NodeEvent::default()
        };
        vec![(
            "one error that was corrected",
            vec![event("e", 0, corrected)],
        )]
    }

    stands!(SCENARIO);
}
