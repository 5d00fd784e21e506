//! `node-oom`: the node itself had no memory left and the kernel killed whom it found largest. Must
//! not hold when a memory cgroup above the victim was at its limit.

use super::memory_limit_oom::rule_out_without_record;
use super::{Detector, Finding, Verdict};
use crate::correlate::death::Death;
use crate::explain::facts::{FactKind, victim_memory};
use crate::explain::quote::clean;
use crate::explain::story::{self, Story};
use crate::model::Severity;
use crate::model::signal::{OomKill, OomScope};
use crate::rank::{Strength, factors};

/// Lower than for a limit: the kernel's record does not tell a full node from a full cpuset.
const PRIOR: f64 = 0.95;

/// Finds kills for lack of memory on the whole node.
pub(super) struct NodeOom;

impl Detector for NodeOom {
    fn cause(&self) -> &'static str {
        "node-oom"
    }

    fn detect(&self, death: &Death<'_>) -> Verdict {
        let Some(oom) = death.oom else {
            return if death.is_unexplained_kill() {
                Verdict::ruled_out(
                    "no OOM kill of this process was recorded",
                    &[FactKind::NoOomRecord],
                )
            } else {
                rule_out_without_record(death)
            };
        };
        let specificity = match (oom.record.scope, death.limiting()) {
            (OomScope::Memcg, Some((index, _))) => {
                return Verdict::ruled_out(
                    format!(
                        "cgroup {} was at its own limit, whatever the node had left",
                        death.level_name(index)
                    ),
                    &[FactKind::Limit],
                );
            }
            (OomScope::Memcg, None) => return Verdict::Silent,
            (OomScope::Global, _) => 1.0,
            (OomScope::Unknown, _) => 0.5,
        };
        let strength = Strength {
            prior: PRIOR,
            specificity,
            directness: 1.0,
        };
        Verdict::Holds(Box::new(Finding {
            cause: self.cause(),
            severity: Severity::Critical,
            entity: death.node_entity(),
            factors: factors(strength, death),
            supports: vec![
                FactKind::OomKill,
                FactKind::OtherLevels,
                FactKind::VictimMemory,
                FactKind::FellowVictims,
                FactKind::TopProcesses,
                FactKind::Trigger,
                FactKind::Sender,
                FactKind::Exit,
            ],
            contradicts: Vec::new(),
            story: story(death, oom.record),
        }))
    }
}

fn story(death: &Death<'_>, kill: &OomKill) -> Story {
    let victim = death.victim();
    let node = clean(&death.node.0);
    let mut impact = story::impact(death);
    if !death.fellow_victims.is_empty() {
        impact.push("other processes of the node were killed for the same reason".to_owned());
    }
    Story {
        headline: format!("{victim} was killed: node {node} had no memory left"),
        explanation: format!(
            "No memory cgroup above {victim} was at its limit: the shortage was the node's, and the \
             kernel chose {victim} (oom_score_adj {}), which held {}.",
            kill.oom_score_adj,
            victim_memory(kill)
        ),
        chain: story::chain(death),
        impact,
        remediation: vec![
            format!("find what fills node {node}: ps -eo pid,rss,comm --sort=-rss | head"),
            "give workloads memory requests near what they use, and limits, so that no node is overcommitted".to_owned(),
            "if the node had memory left: look at cpusets and memory policies (numactl), which the kernel's record does not tell apart".to_owned(),
        ],
    }
}
