//! `node-oom`: the node itself had no memory left and the kernel killed whom it found largest. Must
//! not hold when a memory cgroup above the victim was at its limit.

use super::memory_limit_oom::rule_out_without_record;
use super::{Detector, Finding, Verdict};
use crate::correlate::case::Case;
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

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(death) = case.death() else {
            return Verdict::Silent;
        };
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
            signs: Vec::new(),
            spell: None,
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

#[cfg(test)]
mod tests {
    use crate::model::EvidenceId;
    use crate::model::{Severity, Signal};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};
    use crate::testing::{NODE, incidents_of};

    const CAUSE: &str = "node-oom";

    /// One fault of this kind: process `pid`, at `ms`.
    fn fault(pid: u32, ms: i64) -> Vec<Signal> {
        let worker = Actor::new("worker", pid);
        vec![
            worker.node_oom(&format!("oom-{pid}"), at_ms(ms)),
            worker.killed_by_kernel(&format!("kill-{pid}"), at_ms(ms + 1)),
            worker.exit(&format!("exit-{pid}"), at_ms(ms + 2), 9),
        ]
    }

    const SCENARIO: Scenario = Scenario {
        cause: CAUSE,
        severity: Severity::Critical,
        nature: Nature::Fault,
        signals: |round, ms| fault(4242 + round, ms),
        supports: &[1, 3, 2, 6, 4, 7, 8],
        look_alikes,
    };

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let limited = vec![Actor::new("worker", 4242).oom("s-1", at_ms(0))];
        vec![("a cgroup at its limit", limited)]
    }

    stands!(SCENARIO);

    #[test]
    fn does_not_hold_when_a_cgroup_was_at_its_limit() {
        let limited = vec![Actor::new("worker", 4242).oom("s-1", at_ms(0))];
        let incident = &incidents_of(limited)[0];
        assert_eq!(incident.root_cause.cause.0, "memory-limit-oom");
        let ruled_out = incident
            .ruled_out
            .iter()
            .find(|ruled| ruled.cause.0 == CAUSE);
        assert_eq!(ruled_out.unwrap().evidence, [EvidenceId(3)]);
    }

    #[test]
    fn names_the_node_and_its_other_victims() {
        let mut signals = fault(4242, 0);
        let other = Actor::new("browser", 99).in_cgroup(5, "/other");
        signals.push(other.node_oom("other", at_ms(5)));
        let incidents = incidents_of(signals);
        assert_eq!(incidents.len(), 2);
        let texts: String = incidents
            .iter()
            .flat_map(|incident| &incident.evidence)
            .map(|fact| fact.text.as_str())
            .collect();
        assert!(texts.contains("also cost browser[99]"), "{texts}");
        assert!(texts.contains("also cost worker[4242]"), "{texts}");
        assert!(
            incidents
                .iter()
                .all(|incident| incident.root_cause.entity.name == NODE)
        );
    }
}
