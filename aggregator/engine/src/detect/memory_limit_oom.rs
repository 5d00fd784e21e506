//! `memory-limit-oom`: a memory cgroup at its limit made the kernel kill a process in it. Must not
//! take an exit by SIGKILL for an OOM kill: only the kernel's record of the kill is one.

mod remediation;

pub(super) use remediation::remediation;

use super::{Detector, Finding, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Death;
use crate::correlate::workload::label;
use crate::explain::facts::{FactKind, levels_above, victim_memory};
use crate::explain::quantity::bytes;
use crate::explain::quote::clean;
use crate::explain::signal_name::{SIGKILL, signal_name};
use crate::explain::story::{self, Story};
use crate::model::signal::{MemoryCgroup, OomKill, OomScope};
use crate::model::{Entity, Severity};
use crate::rank::{Strength, factors};

const PRIOR: f64 = 0.98;

/// Every fact of an OOM kill in a memory cgroup that can speak for the cause.
pub(super) const SUPPORTS: &[FactKind] = &[
    FactKind::OomKill,
    FactKind::Limit,
    FactKind::VictimMemory,
    FactKind::MemorySplit,
    FactKind::TopProcesses,
    FactKind::Trigger,
    FactKind::OomGroup,
    FactKind::Sender,
    FactKind::Exit,
];

/// Finds kills for a memory limit.
pub(super) struct MemoryLimitOom;

impl Detector for MemoryLimitOom {
    fn cause(&self) -> &'static str {
        "memory-limit-oom"
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        let Some(death) = case.death() else {
            return Verdict::Silent;
        };
        let Some(oom) = death.oom else {
            return self.without_record(death);
        };
        let specificity = match (oom.record.scope, death.limiting()) {
            (OomScope::Global, _) => {
                return Verdict::ruled_out(
                    "no memory cgroup above the victim was at its limit",
                    &[FactKind::OtherLevels],
                );
            }
            // The child-process pattern says more when it holds.
            (OomScope::Memcg, Some(_)) if death.is_container_child() => 0.9,
            (OomScope::Memcg, Some(_)) => 1.0,
            (OomScope::Memcg, None) => 0.8,
            (OomScope::Unknown, _) => 0.5,
        };
        let strength = Strength {
            prior: PRIOR,
            specificity,
            directness: 1.0,
        };
        Verdict::Holds(Box::new(Finding {
            cause: self.cause(),
            severity: severity(death),
            entity: entity(death),
            factors: factors(strength, death),
            supports: SUPPORTS.to_vec(),
            contradicts: Vec::new(),
            story: story(death, oom.record),
            signs: Vec::new(),
            spell: None,
        }))
    }
}

impl MemoryLimitOom {
    /// A kill that nobody explains may have been an OOM kill whose record was missed.
    fn without_record(&self, death: &Death<'_>) -> Verdict {
        if !death.is_unexplained_kill() {
            return rule_out_without_record(death);
        }
        let watching = death.coverage.would_see_oom;
        let strength = Strength {
            prior: PRIOR,
            specificity: if watching { 0.2 } else { 0.5 },
            directness: 0.4,
        };
        let contradicts = if watching {
            vec![FactKind::NoOomRecord]
        } else {
            Vec::new()
        };
        Verdict::Holds(Box::new(Finding {
            cause: self.cause(),
            severity: Severity::Warning,
            entity: death.workload_entity(),
            factors: factors(strength, death),
            supports: vec![FactKind::Sender, FactKind::Exit],
            contradicts,
            story: Story::default(),
            signs: Vec::new(),
            spell: None,
        }))
    }
}

/// Says why a death without an OOM record was no OOM kill.
pub(super) fn rule_out_without_record(death: &Death<'_>) -> Verdict {
    match death.died_of() {
        0 => Verdict::Silent,
        SIGKILL => {
            let because = if death.coverage.would_see_oom {
                "no OOM kill of this process was recorded while the OOM probe was watching"
            } else {
                "no OOM kill of this process was recorded, though one could have been missed"
            };
            Verdict::ruled_out(because, &[FactKind::NoOomRecord, FactKind::Sender])
        }
        other => Verdict::ruled_out(
            format!(
                "the process ended by {}; the OOM killer sends {}",
                signal_name(other),
                signal_name(SIGKILL)
            ),
            &[FactKind::Exit, FactKind::Sender],
        ),
    }
}

/// The object whose limit was reached.
pub(super) fn entity(death: &Death<'_>) -> Entity {
    match death.limiting() {
        Some((index, _)) if !death.is_limit_of_pod(index) => death.level_entity(index),
        _ => death.workload_entity(),
    }
}

fn severity(death: &Death<'_>) -> Severity {
    if death.is_container_init() {
        Severity::Critical
    } else {
        Severity::Warning
    }
}

fn story(death: &Death<'_>, kill: &OomKill) -> Story {
    let victim = death.victim();
    let (headline, explanation) = match death.limiting() {
        Some((index, level)) => (
            format!(
                "{victim} was killed: {}",
                limit_reached(death, index, level)
            ),
            explanation(death, kill, level),
        ),
        None => (
            format!("{victim} was killed: a memory cgroup above it reached its limit"),
            format!(
                "The kernel says that a cgroup's limit was reached, but not which; {victim} held {}.",
                victim_memory(kill)
            ),
        ),
    };
    Story {
        headline,
        explanation,
        chain: story::chain(death),
        impact: story::impact(death),
        remediation: remediation(death, kill),
    }
}

/// `cgroup /a reached its memory limit of 64 MiB`, with how far up it is when it is not the own one.
pub(super) fn limit_reached(death: &Death<'_>, index: usize, level: &MemoryCgroup) -> String {
    let place = if index == 0 {
        String::new()
    } else {
        format!(
            ", {} above its own {},",
            levels_above(index),
            death.level_name(0)
        )
    };
    format!(
        "cgroup {}{place} reached its memory limit of {}",
        death.level_name(index),
        bytes(level.max_bytes.unwrap_or(0))
    )
}

fn explanation(death: &Death<'_>, kill: &OomKill, level: &MemoryCgroup) -> String {
    let victim = death.victim();
    let asked = match &kill.trigger {
        Some(trigger) if death.process.is_some_and(|own| own.pid != trigger.pid) => label(trigger),
        Some(_) => victim.clone(),
        None => "a process".to_owned(),
    };
    let group = if kill.chain.iter().any(|level| level.oom_group) {
        "; memory.oom.group is set, so all processes of the group were killed together"
    } else {
        ""
    };
    let largest = kill
        .top_processes
        .first()
        .filter(|top| death.process.is_some_and(|own| own.pid != top.pid))
        .map_or_else(String::new, |top| {
            let name = clean(&top.comm);
            format!(
                " The largest process there was {name}[{}] with {}.",
                top.pid,
                bytes(top.rss_bytes)
            )
        });
    format!(
        "The cgroup had {} in use of {} allowed when {asked} asked for more; the kernel could free \
         nothing and killed {victim}, which held {}{group}.{largest}",
        bytes(level.usage_bytes),
        bytes(level.max_bytes.unwrap_or(0)),
        victim_memory(kill),
    )
}

#[cfg(test)]
mod tests {
    use crate::model::SignalBody;
    use crate::model::signal::{OomKill, OomScope, ProcessMemory};
    use crate::model::{Severity, Signal};
    use crate::testing::checks::{causes, opens, rests_on_facts};
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::{Actor, at_ms};

    const CAUSE: &str = "memory-limit-oom";

    /// One fault of this kind: process `pid`, at `ms`.
    fn fault(pid: u32, ms: i64) -> Vec<Signal> {
        let worker = Actor::new("worker", pid);
        vec![
            worker.oom(&format!("oom-{pid}"), at_ms(ms)),
            worker.killed_by_kernel(&format!("kill-{pid}"), at_ms(ms + 1)),
            worker.exit(&format!("exit-{pid}"), at_ms(ms + 2), 9),
        ]
    }

    const SCENARIO: Scenario = Scenario {
        cause: CAUSE,
        severity: Severity::Warning,
        nature: Nature::Fault,
        signals: |round, ms| fault(4242 + round, ms),
        supports: &[1, 3, 2, 6, 7, 5, 8, 9],
        look_alikes,
    };

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        let exit = fault(4242, 0).split_off(2);
        vec![("an exit by SIGKILL without a record", exit)]
    }

    stands!(SCENARIO);

    #[test]
    fn does_not_take_an_exit_by_sigkill_for_an_oom_kill() {
        let exit = fault(4242, 0).split_off(2);
        assert_eq!(causes(exit), ["undetermined"]);
    }

    #[test]
    fn is_critical_when_process_1_of_a_container_dies() {
        let init = Actor::new("server", 50).in_container("c0ffee", 1);
        opens(vec![init.oom("s-1", at_ms(0))], CAUSE, Severity::Critical);
    }

    #[test]
    fn names_cgroup_limiting_ancestor_limit_usage_victim_trigger_and_top_process() {
        let mut kill = fault(4242, 0);
        if let SignalBody::OomKill(kill) = &mut kill[0].body {
            kill.chain[1].oom_group = true;
            kill.trigger = Some(Actor::new("greedy", 9).process().clone());
            kill.top_processes.insert(
                0,
                ProcessMemory {
                    pid: 8,
                    comm: "hog".to_owned(),
                    rss_bytes: 50 << 20,
                },
            );
        }
        let incident = opens(kill, CAUSE, Severity::Warning);
        rests_on_facts(&incident);
        assert_eq!(
            incident.headline,
            "worker[4242] was killed: cgroup /demo/limited, 1 level above its own \
             /demo/limited/inner, reached its memory limit of 64 MiB"
        );
        assert_eq!(
            incident.explanation,
            "The cgroup had 64 MiB in use of 64 MiB allowed when greedy[9] asked for more; the \
             kernel could free nothing and killed worker[4242], which held 47 MiB; \
             memory.oom.group is set, so all processes of the group were killed together. \
             The largest process there was hog[8] with 50 MiB."
        );
        assert_eq!(incident.root_cause.entity.name, "/demo/limited");
        for alias in ["4242", "/demo/limited/inner", "/demo/limited"] {
            assert!(
                incident.aliases.iter().any(|known| known == alias),
                "{alias}"
            );
        }
        assert!(
            incident.remediation[1]
                .contains("echo 100663296 > /sys/fs/cgroup/demo/limited/memory.max")
        );
    }

    #[test]
    fn leaves_open_which_memory_ran_out_when_the_kernel_does_not_tell() {
        let worker = Actor::new("worker", 4242);
        let kill = SignalBody::OomKill(OomKill {
            scope: OomScope::Unknown,
            limiting: None,
            ..worker.oom_kill(OomScope::Memcg)
        });
        assert_eq!(
            causes(vec![worker.signal("s-1", at_ms(0), kill)]),
            ["undetermined"]
        );
    }
}
