//! The facts of a death, worded once for all detectors. Must give each fact numbers, units and names
//! exactly as a headline or an explanation repeats them.

use super::clock::duration;
use super::quantity::{bytes, count};
use super::quote::clean;
use super::signal_name::{SIGKILL, signal_name};
use crate::correlate::death::{CONTAINER_MARGIN, Death, Observed};
use crate::correlate::workload::label;
use crate::model::signal::{FatalSignal, MemoryCgroup, OomKill, OomScope, SignalOrigin};
use crate::model::{Entity, EvidenceSource, Signal, SignalId, Timestamp};
use std::time::Duration;

/// Largest processes that a text names; the signal holds up to ten.
const MAX_NAMED_PROCESSES: usize = 3;

/// Fellow victims that a text names.
const MAX_NAMED_VICTIMS: usize = 5;

/// What a fact is about; a detector cites facts by it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum FactKind {
    OomKill,
    VictimMemory,
    /// The level that was at its limit.
    Limit,
    /// The levels that were not.
    OtherLevels,
    OomGroup,
    MemorySplit,
    TopProcesses,
    Trigger,
    FellowVictims,
    Sender,
    Exit,
    InitExit,
    InitAlive,
    NoOomRecord,
    NoSenderRecord,
}

/// One fact of a death, not yet numbered.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) kind: FactKind,
    pub(crate) source: EvidenceSource,
    pub(crate) entity: Entity,
    pub(crate) at: Timestamp,
    pub(crate) text: String,
    pub(crate) signal: Option<SignalId>,
}

/// Words all facts of a death, in the order in which they are numbered.
pub(crate) fn facts_of(death: &Death<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(oom) = death.oom {
        facts.extend(oom_facts(death, oom));
    }
    facts.extend(death.killer().map(|fatal| sender(death, fatal)));
    facts.extend(exit(death));
    facts.extend(init(death));
    facts.extend(absences(death));
    facts
}

/// What the victim itself held.
pub(crate) fn victim_memory(kill: &OomKill) -> String {
    let held = kill.victim_usage;
    bytes(
        held.anon_bytes
            .saturating_add(held.file_bytes)
            .saturating_add(held.shmem_bytes),
    )
}

/// How far above the victim's own cgroup a level is.
pub(crate) fn levels_above(index: usize) -> String {
    count(index as u64, "level")
}

fn oom_facts(death: &Death<'_>, oom: Observed<'_, OomKill>) -> Vec<Fact> {
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

fn sender(death: &Death<'_>, fatal: Observed<'_, FatalSignal>) -> Fact {
    let record = fatal.record;
    let signal = signal_name(record.signal);
    let victim = death.victim();
    let text = match (record.origin, &record.sender) {
        (SignalOrigin::Kernel, _) => format!("The kernel itself sent {signal} to {victim}"),
        (SignalOrigin::User, Some(sender)) => {
            let from = record
                .sender_cgroup
                .as_ref()
                .and_then(|cgroup| cgroup.path.as_deref())
                .map_or_else(String::new, |path| format!(" from cgroup {}", clean(path)));
            format!("{}{from} sent {signal} to {victim}", label(sender))
        }
        (SignalOrigin::User, None) => {
            format!("A process that could not be named sent {signal} to {victim}")
        }
        (SignalOrigin::Fault, _) => match record.fault_address {
            Some(address) => {
                format!("A fault of {victim} at address {address:#x} raised {signal}")
            }
            None => format!("A fault of {victim} raised {signal}"),
        },
        (SignalOrigin::Unknown, _) => {
            format!("{victim} got {signal} from where could not be told")
        }
    };
    Fact {
        kind: FactKind::Sender,
        source: EvidenceSource::Kernel,
        entity: death.victim_entity(),
        at: fatal.at,
        text: format!("{text} (si_code {})", record.code),
        signal: Some(fatal.signal.id.clone()),
    }
}

fn exit(death: &Death<'_>) -> Option<Fact> {
    let exit = death.exit?;
    let text = if exit.record.signal == 0 {
        format!(
            "{} ended by itself with exit code {}",
            death.victim(),
            exit.record.code
        )
    } else {
        let core = if exit.record.core_dumped {
            " and left a core dump"
        } else {
            ""
        };
        format!(
            "{} ended by {}{core}",
            death.victim(),
            signal_name(exit.record.signal)
        )
    };
    Some(Fact {
        kind: FactKind::Exit,
        source: EvidenceSource::Kernel,
        entity: death.victim_entity(),
        at: exit.at,
        text,
        signal: Some(exit.signal.id.clone()),
    })
}

fn init(death: &Death<'_>) -> Option<Fact> {
    if let Some(init) = death.init_exit {
        return Some(Fact {
            kind: FactKind::InitExit,
            source: EvidenceSource::Kernel,
            entity: death.workload_entity(),
            at: init.at,
            text: format!(
                "Process 1 of the container, {}, ended too",
                process_of(init.signal)
            ),
            signal: Some(init.signal.id.clone()),
        });
    }
    let text = format!(
        "No end of the container's process 1 was recorded within {} s of the kill",
        CONTAINER_MARGIN.as_secs()
    );
    (death.oom.is_some() && death.is_container_child())
        .then(|| absence(death, FactKind::InitAlive, text))
}

fn process_of(signal: &Signal) -> String {
    signal
        .subject
        .process
        .as_ref()
        .map_or_else(|| "an unknown process".to_owned(), label)
}

fn absences(death: &Death<'_>) -> Vec<Fact> {
    let mut facts = Vec::new();
    if death.oom.is_none() && death.died_of() == SIGKILL {
        let watching = if death.coverage.would_see_oom {
            "and the OOM probe was attached and watching"
        } else {
            "but one could have been missed"
        };
        facts.push(absence(
            death,
            FactKind::NoOomRecord,
            format!("No OOM kill of {} was recorded, {watching}", death.victim()),
        ));
    }
    if death.oom.is_none() && death.killer().is_none() && death.died_of() != 0 {
        facts.push(absence(
            death,
            FactKind::NoSenderRecord,
            format!(
                "Who sent {} to {} was not recorded",
                signal_name(death.died_of()),
                death.victim()
            ),
        ));
    }
    facts
}

fn absence(death: &Death<'_>, kind: FactKind, text: String) -> Fact {
    Fact {
        kind,
        source: EvidenceSource::Coverage,
        entity: death.victim_entity(),
        at: death.onset,
        text,
        signal: None,
    }
}
