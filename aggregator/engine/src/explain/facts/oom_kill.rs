//! The facts of an OOM kill. Must name every level by the same name, and give limits to the byte.

use std::time::Duration;

use super::{Fact, FactKind, levels_above, victim_memory};
use crate::correlate::death::{Death, Observed};
use crate::correlate::workload::label;
use crate::explain::clock::duration;
use crate::explain::quantity::{bytes, count};
use crate::explain::quote::clean;
use crate::model::EvidenceSource;
use crate::model::signal::{MemoryCgroup, OomKill, OomScope};

/// Largest processes that a text names; the signal holds up to ten.
const MAX_NAMED_PROCESSES: usize = 3;

/// Fellow victims that a text names.
const MAX_NAMED_VICTIMS: usize = 5;

/// Words the kernel's record and what the agent read just after it.
pub(super) fn facts(death: &Death<'_>, oom: Observed<'_, OomKill>) -> Vec<Fact> {
    let kernel = |kind, entity, text| Fact {
        kind,
        source: EvidenceSource::Kernel,
        entity,
        at: oom.at,
        text,
        signal: Some(oom.signal.id.clone()),
    };
    let kill = oom.record;
    let victim = death.victim();
    let mut facts = vec![
        kernel(
            FactKind::OomKill,
            death.victim_entity(),
            format!(
                "The kernel's OOM killer chose {victim} (oom_score_adj {}) and killed it",
                kill.oom_score_adj
            ),
        ),
        kernel(
            FactKind::VictimMemory,
            death.victim_entity(),
            format!(
                "{victim} itself held {}: {} anonymous, {} of files, {} shared; {} were swapped out",
                victim_memory(kill),
                bytes(kill.victim_usage.anon_bytes),
                bytes(kill.victim_usage.file_bytes),
                bytes(kill.victim_usage.shmem_bytes),
                bytes(kill.victim_usage.swap_bytes),
            ),
        ),
    ];
    if let Some((index, level)) = death.limiting() {
        facts.push(kernel(
            FactKind::Limit,
            death.level_entity(index),
            limit_text(death, index, level),
        ));
    }
    facts.extend(
        other_levels(death, kill)
            .map(|text| kernel(FactKind::OtherLevels, death.workload_entity(), text)),
    );
    if let Some((index, _)) = kill
        .chain
        .iter()
        .enumerate()
        .find(|(_, level)| level.oom_group)
    {
        facts.push(kernel(
            FactKind::OomGroup,
            death.level_entity(index),
            format!(
                "memory.oom.group is set on cgroup {}: the kernel kills all of its processes together",
                death.level_name(index)
            ),
        ));
    }
    facts.extend(
        trigger(death, kill).map(|text| kernel(FactKind::Trigger, death.victim_entity(), text)),
    );
    if kill.scope == OomScope::Global && !death.fellow_victims.is_empty() {
        facts.push(kernel(
            FactKind::FellowVictims,
            death.node_entity(),
            fellow_victims(death),
        ));
    }
    facts.extend(node_readings(death, oom));
    facts
}

fn limit_text(death: &Death<'_>, index: usize, level: &MemoryCgroup) -> String {
    let limit = level.max_bytes.unwrap_or(0);
    let place = if index == 0 {
        "the victim's own".to_owned()
    } else {
        format!(
            "{} above the victim's own {}",
            levels_above(index),
            death.level_name(0)
        )
    };
    let events = level.oom_events.map_or_else(String::new, |events| {
        format!(", {} raised here", count(events, "OOM event"))
    });
    format!(
        "Cgroup {}, {place}, was at its memory limit: {} in use of {} allowed ({} of {} bytes); \
         it had run into this limit {} (failcnt){events}",
        death.level_name(index),
        bytes(level.usage_bytes),
        bytes(limit),
        level.usage_bytes,
        limit,
        count(level.failcnt, "time"),
    )
}

fn other_levels(death: &Death<'_>, kill: &OomKill) -> Option<String> {
    let limiting = death.limiting().map(|(index, _)| index);
    let levels: Vec<String> = kill
        .chain
        .iter()
        .enumerate()
        .filter(|(index, _)| Some(*index) != limiting)
        .map(|(index, level)| {
            let limit = level.max_bytes.map_or_else(
                || "no limit".to_owned(),
                |max| format!("limit {}", bytes(max)),
            );
            format!(
                "{} {} in use, {limit}",
                death.level_name(index),
                bytes(level.usage_bytes)
            )
        })
        .collect();
    if levels.is_empty() {
        return None;
    }
    let intro = match (kill.scope, limiting) {
        (OomScope::Global, _) => "No memory cgroup above the victim was at its limit",
        (_, Some(_)) => "The other levels",
        _ => "Which level was at its limit is not known",
    };
    Some(format!("{intro}: {}", levels.join("; ")))
}

fn trigger(death: &Death<'_>, kill: &OomKill) -> Option<String> {
    let trigger = kill.trigger.as_ref()?;
    let is_victim = death
        .process
        .is_some_and(|victim| victim.pid == trigger.pid);
    Some(if is_victim {
        format!(
            "{} itself asked for the memory that was not there",
            death.victim()
        )
    } else {
        format!(
            "{}, another process than the victim, asked for the memory that was not there",
            label(trigger)
        )
    })
}

fn fellow_victims(death: &Death<'_>) -> String {
    let names: Vec<String> = death
        .fellow_victims
        .iter()
        .take(MAX_NAMED_VICTIMS)
        .map(|victim| label(victim))
        .collect();
    let more = death.fellow_victims.len().saturating_sub(names.len());
    let rest = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!(
        "Within a minute the node's lack of memory also cost {}{rest}",
        names.join(", ")
    )
}

/// What the agent read just after the kill.
fn node_readings(death: &Death<'_>, oom: Observed<'_, OomKill>) -> Vec<Fact> {
    let kill = oom.record;
    let index = death.limiting().map_or(0, |(index, _)| index);
    let of = death.level_name(index);
    let node = |kind, text, after| Fact {
        kind,
        source: EvidenceSource::Node,
        entity: death.level_entity(index),
        at: oom.at.plus(after),
        text,
        signal: Some(oom.signal.id.clone()),
    };
    let after = Duration::from_nanos(kill.cgroup_stat.map_or(0, |stat| stat.read_after_ns));
    let mut facts = Vec::new();
    if let Some(stat) = kill.cgroup_stat {
        let text = format!(
            "{} after the kill cgroup {of} held {} anonymous, {} of files, {} shared or tmpfs, {} of the kernel",
            duration(after),
            bytes(stat.anon_bytes),
            bytes(stat.file_bytes),
            bytes(stat.shmem_bytes),
            bytes(stat.kernel_bytes),
        );
        facts.push(node(FactKind::MemorySplit, text, after));
    }
    if !kill.top_processes.is_empty() {
        let top: Vec<String> = kill
            .top_processes
            .iter()
            .take(MAX_NAMED_PROCESSES)
            .map(|process| {
                format!(
                    "{}[{}] {}",
                    clean(&process.comm),
                    process.pid,
                    bytes(process.rss_bytes)
                )
            })
            .collect();
        let text = format!("The largest processes in cgroup {of}: {}", top.join(", "));
        facts.push(node(FactKind::TopProcesses, text, after));
    }
    facts
}
