//! `memory-limit-oom`: a memory cgroup at its limit made the kernel kill a process in it. Must not
//! take an exit by SIGKILL for an OOM kill: only the kernel's record of the kill is one.

use super::{Detector, Finding, Verdict};
use crate::correlate::death::Death;
use crate::correlate::workload::label;
use crate::explain::facts::{FactKind, levels_above, victim_memory};
use crate::explain::quantity::bytes;
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

    fn detect(&self, death: &Death<'_>) -> Verdict {
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
        Some((index, _)) if !death.is_in_pod() => death.level_entity(index),
        _ => death.workload_entity(),
    }
}

/// What remains to be done about a limit that was reached.
pub(super) fn remediation(death: &Death<'_>, kill: &OomKill) -> Vec<String> {
    let mut steps = vec![what_grew(death, kill)];
    if let Some((index, level)) = death.limiting() {
        steps.push(raise_limit(death, index, level));
    }
    steps
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
            let name = crate::explain::quote::clean(&top.comm);
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

/// Which kind of memory to look at: the largest part says where the growth is.
fn what_grew(death: &Death<'_>, kill: &OomKill) -> String {
    let of = death.victim();
    let Some(stat) = kill.cgroup_stat else {
        return format!("find out what grew in {of}: compare its memory over time with its load");
    };
    // The victim's memory is freed while the agent reads, so its own figures are counted in.
    let shared = stat.shmem_bytes.max(kill.victim_usage.shmem_bytes);
    let anonymous = stat.anon_bytes.max(kill.victim_usage.anon_bytes);
    if shared > anonymous {
        "look for large files in tmpfs, /dev/shm or emptyDir volumes with medium Memory: they count against the limit".to_owned()
    } else if stat.kernel_bytes > anonymous {
        "look for many open sockets, files or threads: most of the memory was the kernel's own, on the workload's behalf".to_owned()
    } else {
        format!(
            "find out what grew in {of}: most of the memory was anonymous (heap and stacks), so take a heap profile under load"
        )
    }
}

fn raise_limit(death: &Death<'_>, index: usize, level: &MemoryCgroup) -> String {
    let limit = level.max_bytes.unwrap_or(0);
    let larger = limit.saturating_add(limit / 2);
    let name = death.level_name(index);
    if death.is_in_pod() {
        return format!(
            "if the need is real, raise resources.limits.memory of the pod's container, for example from {} to {}",
            bytes(limit),
            bytes(larger)
        );
    }
    let file = death.limit_file(index);
    format!(
        "if the need is real, raise the limit of cgroup {name}, for example to {}: echo {larger} > {file}",
        bytes(larger)
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::{Actor, at_ms, incidents_of};

    #[test]
    fn opens() {
        let worker = Actor::new("worker", 4242);
        let incidents = incidents_of(vec![
            worker.oom("s-1", at_ms(0)),
            worker.killed_by_kernel("s-2", at_ms(1)),
            worker.exit("s-3", at_ms(2), 9),
        ]);
        println!("{incidents:#?}");
        assert_eq!(incidents.len(), 1);
    }
}
