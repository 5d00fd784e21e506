//! What could not be seen around a death, and how much less is claimed for it. Must not hide a loss:
//! each one is a sentence in the report and a factor below 1.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::MAX_CLOCK_AHEAD;
use crate::explain::clock::{duration, utc};
use crate::explain::quantity::count;
use crate::explain::quote::clean;
use crate::model::signal::GapReason;
use crate::model::{Inventory, NodeName, Signal, SignalBody, Timestamp};

/// Gaps this near to a death can have hidden its cause.
const GAP_MARGIN: Duration = Duration::from_mins(1);

/// The probe without which no OOM kill is recorded.
const OOM_PROBE: &str = "mark_victim";

/// Gaps told one by one; an agent that keeps failing leaves more than a person would read.
const MAX_TOLD_GAPS: usize = 5;

/// What a gap near the death leaves of a claim.
const GAP_FACTOR: f64 = 0.85;

/// What lost records leave of a claim; when they were lost is not known.
const LOSS_FACTOR: f64 = 0.95;

/// What is left of a claim when the agent's coverage is unknown.
const UNKNOWN_FACTOR: f64 = 0.95;

/// What was and was not seen on a node around a time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Coverage {
    /// One sentence for each thing that was not seen.
    pub(crate) notes: Vec<String>,
    /// 0..=1, 1 when nothing is known to be missing.
    pub(crate) completeness: f64,
    /// The OOM probe was attached and the agent was watching: an OOM kill would have been recorded.
    pub(crate) would_see_oom: bool,
}

impl Coverage {
    /// Collects what was missing on `node` around `onset`; `nearby` are the window's signals of the node.
    pub(crate) fn around(
        node: &NodeName,
        onset: Timestamp,
        inventory: &Inventory,
        nearby: &[&Signal],
    ) -> Self {
        let mut coverage = Self {
            notes: Vec::new(),
            completeness: 1.0,
            would_see_oom: true,
        };
        coverage.add_node(node, inventory);
        coverage.add_gaps(node, onset, inventory, nearby);
        coverage
    }

    /// Notes that a signal's time was so far ahead of `now` that it was not believed.
    pub(crate) fn add_clock_ahead(&mut self, node: &NodeName, observed: Timestamp, now: Timestamp) {
        if is_ahead(observed, now) {
            self.notes.push(format!(
                "the clock of node {} is {} ahead of the aggregator's: its times are not comparable",
                clean(&node.0),
                duration(observed.since(now))
            ));
        }
    }

    fn add_node(&mut self, node: &NodeName, inventory: &Inventory) {
        let Some(known) = inventory.nodes.get(node) else {
            self.completeness *= UNKNOWN_FACTOR;
            self.would_see_oom = false;
            self.notes.push(format!(
                "what the agent of node {} could see is not known",
                clean(&node.0)
            ));
            return;
        };
        self.would_see_oom = known.attached.contains(OOM_PROBE);
        for missing in &known.missing {
            self.notes
                .push(format!("a probe is not attached: {}", clean(missing)));
        }
        if known.lost > 0 {
            self.completeness *= LOSS_FACTOR;
            self.notes.push(format!(
                "{} records were lost on node {} since its agent started",
                known.lost,
                clean(&node.0)
            ));
        }
        if known.left_out > 0 {
            self.notes.push(format!(
                "{} routine records (program starts, exits, cgroups, counts) of node {} were left out; \
                 no kill is among them",
                known.left_out,
                clean(&node.0)
            ));
        }
    }

    fn add_gaps(
        &mut self,
        node: &NodeName,
        onset: Timestamp,
        inventory: &Inventory,
        nearby: &[&Signal],
    ) {
        let known = inventory.nodes.get(node).map(|known| known.gaps.as_slice());
        let mut gaps: BTreeSet<_> = known.unwrap_or_default().iter().copied().collect();
        let mut reasons = Vec::new();
        for signal in nearby {
            if let SignalBody::CoverageGap { start, end, reason } = signal.body {
                gaps.insert((start, end));
                reasons.push(((start, end), reason));
            }
        }
        let near = onset.minus(GAP_MARGIN)..=onset.plus(GAP_MARGIN);
        gaps.retain(|(start, end)| start <= near.end() && end >= near.start());
        if gaps.is_empty() {
            return;
        }
        self.completeness *= GAP_FACTOR;
        self.would_see_oom = false;
        let untold = gaps.len().saturating_sub(MAX_TOLD_GAPS);
        for gap in gaps.into_iter().take(MAX_TOLD_GAPS) {
            let reason = reasons.iter().find(|(of, _)| *of == gap);
            self.notes.push(format!(
                "the agent was not watching from {} to {}{}",
                utc(gap.0),
                utc(gap.1),
                reason.map_or("", |(_, reason)| because(*reason)),
            ));
        }
        if untold > 0 {
            self.notes.push(format!(
                "nor was it at {} within {} of the fault",
                count(untold as u64, "other time"),
                duration(GAP_MARGIN)
            ));
        }
    }
}

/// The time that the life cycle takes for a signal: a clock far ahead must not hold an incident open.
pub(crate) fn believed(observed: Timestamp, now: Timestamp) -> Timestamp {
    if is_ahead(observed, now) {
        now
    } else {
        observed
    }
}

fn is_ahead(observed: Timestamp, now: Timestamp) -> bool {
    observed > now.plus(MAX_CLOCK_AHEAD)
}

const fn because(reason: GapReason) -> &'static str {
    match reason {
        GapReason::AgentRestarted => ": it restarted",
        GapReason::AgentStopped => ": it was stopped",
        GapReason::NodeRebooted => ": the node rebooted",
        GapReason::Unknown => "",
    }
}
