//! The story of a death that nothing explains well enough. Must say what is missing, never guess.

use super::signal_name::{SIGKILL, signal_name};
use super::story::{self, Story};
use crate::correlate::death::Death;
use crate::model::signal::SignalOrigin;

/// Tells what is known and what would have been needed.
pub(crate) fn story(death: &Death<'_>) -> Story {
    let victim = death.victim();
    let headline = if death.oom.is_some() {
        format!("{victim} was killed by the OOM killer; which memory ran out is not known")
    } else {
        format!(
            "{victim} was ended by {}; why is not known",
            signal_name(death.died_of())
        )
    };
    Story {
        headline,
        explanation: missing(death),
        chain: story::chain(death),
        impact: story::impact(death),
        remediation: remediation(death),
    }
}

fn missing(death: &Death<'_>) -> String {
    let victim = death.victim();
    if death.oom.is_some() {
        return format!(
            "The kernel's record does not tell whether a memory limit above {victim} or the whole node was out of memory."
        );
    }
    if death.died_of() != SIGKILL {
        return format!(
            "Who sent the signal was not recorded, and too little was seen around the end of {victim} to say more."
        );
    }
    let sender = match death.killer().map(|fatal| fatal.record.origin) {
        Some(SignalOrigin::Kernel) => {
            "The kernel itself sent the signal, and no OOM kill was recorded that would explain it."
        }
        _ => "Who sent the signal was not recorded, and no OOM kill was.",
    };
    let sight = if death.coverage.would_see_oom {
        " The OOM probe was watching."
    } else {
        " An OOM kill could have been missed."
    };
    format!("{sender}{sight}")
}

fn remediation(death: &Death<'_>) -> Vec<String> {
    let is_kill = death.oom.is_some() || death.died_of() == SIGKILL;
    let node = death.node_entity().name;
    let mut steps = vec![if is_kill {
        format!(
            "look for its end in the kernel log of node {node}: dmesg -T | grep -i 'killed process'"
        )
    } else {
        format!(
            "read the last lines of output of {}, and the kernel log of node {node}: dmesg -T",
            death.victim()
        )
    }];
    if is_kill && death.oom.is_none() {
        steps.push(
            "the kernel also kills at a CPU time limit (ulimit -t) and when a pid namespace ends: \
             check both"
                .to_owned(),
        );
    }
    if !death.coverage.notes.is_empty() {
        steps.push("repair what the coverage section names: inquest node list shows the probes of each node".to_owned());
    }
    steps
}
