//! What the kernel says about the node itself, shared by the detectors of its kinds. Must not blame a
//! workload.

use super::claim::{Claim, cited, last_spell};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Workload;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::explain::quote::clean;
use crate::model::signal::{NodeEvent, NodeEventKind};
use crate::rank::Strength;

/// The kernel said so itself; it may have meant little.
const STRENGTH: Strength = Strength {
    prior: 0.95,
    specificity: 1.0,
    directness: 1.0,
};

/// Events of some kinds, since the last pause; never none.
#[derive(Debug)]
pub(super) struct Events<'a>(Vec<Observed<'a, NodeEvent>>);

/// The node's events of these kinds; none when the case is about something else.
pub(super) fn of_kinds<'a>(case: &Case<'a>, kinds: &[NodeEventKind]) -> Option<Events<'a>> {
    if case.workload != Workload::Node {
        return None;
    }
    let all = case.troubles.of::<NodeEvent>();
    let of_kind: Vec<_> = all
        .into_iter()
        .filter(|event| kinds.contains(&event.record.kind))
        .collect();
    let spell = last_spell(&of_kind).to_vec();
    (!spell.is_empty()).then_some(Events(spell))
}

impl<'a> Events<'a> {
    /// The events, oldest first.
    pub(super) fn records(&self) -> impl Iterator<Item = &'a NodeEvent> + '_ {
        self.0.iter().map(|event| event.record)
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.records().map(|event| event.count.max(1)).sum()
    }

    /// The device concerned, of the first that names one.
    pub(super) fn device(&self) -> String {
        let mut devices = self.records().map(|event| event.device.as_str());
        let device = devices.find(|device| !device.is_empty());
        device.map_or_else(|| "a device that it does not name".to_owned(), clean)
    }

    /// A claim with the events as its signs, whose words are still to be said.
    pub(super) fn claim(&self, case: &Case<'_>, cause: &'static str) -> Claim {
        let signs = cited(case, &self.0);
        Claim {
            signs: signs.iter().map(|event| fact(case, *event)).collect(),
            until: self.0.last().map(|event| event.at).unwrap_or_default(),
            is_event: true,
            ..Claim::of(case, cause, STRENGTH)
        }
    }
}

/// One event in the kernel's own words.
pub(super) fn fact(case: &Case<'_>, event: Observed<'_, NodeEvent>) -> Fact {
    let record = event.record;
    let device = match record.device.as_str() {
        "" => String::new(),
        device => format!(" about {}", clean(device)),
    };
    let times = match record.count {
        0 | 1 => String::new(),
        many => format!(", {}", count(many, "time")),
    };
    let text = if record.kind == NodeEventKind::ClockStep {
        format!(
            "The wall clock of node {} was stepped by {:.3} s",
            clean(&event.signal.node.0),
            record.step_ns as f64 / 1e9
        )
    } else {
        format!("The kernel said{device}{times}: {}", clean(&record.text))
    };
    case.sign(event, text)
}
