//! What a finding tells a person, and the parts that all findings tell alike. Must rest on the
//! death's facts: each step of the chain names the fact that shows it.

use super::facts::FactKind;
use super::signal_name::signal_name;
use crate::correlate::death::Death;
use crate::correlate::workload::label;
use crate::model::signal::{OomScope, SignalOrigin};

/// The words for one cause of one death.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    pub(crate) headline: String,
    pub(crate) explanation: String,
    pub(crate) chain: Vec<Step>,
    pub(crate) impact: Vec<String>,
    pub(crate) remediation: Vec<String>,
}

/// One step of the chain; its entity and, unless it led to something earlier, its time are those of
/// its first fact.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) what: String,
    pub(crate) facts: Vec<FactKind>,
    /// What it led to: it was there when that happened, though its record may come later.
    pub(crate) led_to: Option<FactKind>,
}

/// Tells the death step by step, cause first.
pub(crate) fn chain(death: &Death<'_>) -> Vec<Step> {
    let victim = death.victim();
    let mut steps = Vec::new();
    if let Some(oom) = death.oom {
        steps.extend(shortage(death, oom.record.scope));
        steps.push(step_to_kill(
            format!("the OOM killer chose {victim}"),
            &[FactKind::OomKill, FactKind::VictimMemory],
        ));
    }
    if let Some(fatal) = death.killer() {
        let from = match (fatal.record.origin, &fatal.record.sender) {
            (SignalOrigin::Kernel, _) => "the kernel".to_owned(),
            (SignalOrigin::Fault, _) => "its own fault".to_owned(),
            (_, Some(sender)) => label(sender),
            (_, None) => "an unknown sender".to_owned(),
        };
        steps.push(step(
            format!(
                "{victim} got {} from {from}",
                signal_name(fatal.record.signal)
            ),
            &[FactKind::Sender],
        ));
    }
    if death.exit.is_some() {
        steps.push(step(format!("{victim} ended"), &[FactKind::Exit]));
    }
    if death.init_exit.is_some() {
        steps.push(step(
            "process 1 of the container ended".to_owned(),
            &[FactKind::InitExit],
        ));
    }
    steps
}

/// What the death means for the workload.
pub(crate) fn impact(death: &Death<'_>) -> Vec<String> {
    let victim = death.victim();
    let workload = death.workload_entity();
    let place = format!("{} {}", workload.kind.as_str(), workload.name);
    let line = if death.is_container_init() {
        format!("the container of {place} ended with its process 1, {victim}")
    } else if death.init_exit.is_some() {
        format!("the container of {place} lost {victim} and ended")
    } else if death.is_container_child() {
        format!("the container of {place} runs on without {victim}")
    } else if workload == death.victim_entity() {
        format!("{victim} is gone")
    } else {
        format!("{place} lost {victim}")
    };
    vec![line]
}

fn shortage(death: &Death<'_>, scope: OomScope) -> Option<Step> {
    match (scope, death.limiting()) {
        (OomScope::Memcg, Some((index, _))) => Some(step_to_kill(
            format!(
                "cgroup {} reached its memory limit",
                death.level_name(index)
            ),
            &[FactKind::Limit, FactKind::Trigger],
        )),
        (OomScope::Global, _) => Some(step_to_kill(
            "the node had no memory left".to_owned(),
            &[FactKind::OtherLevels, FactKind::Trigger],
        )),
        _ => None,
    }
}

fn step(what: String, facts: &[FactKind]) -> Step {
    Step {
        what,
        facts: facts.to_vec(),
        led_to: None,
    }
}

/// A step before the OOM killer's SIGKILL: the kernel records its choice only after that.
fn step_to_kill(what: String, facts: &[FactKind]) -> Step {
    Step {
        led_to: Some(FactKind::Sender),
        ..step(what, facts)
    }
}
