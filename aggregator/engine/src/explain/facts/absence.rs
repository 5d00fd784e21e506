//! What was not recorded and would have been. Must say whether it could have been missed.

use super::{Fact, FactKind};
use crate::correlate::death::{CONTAINER_MARGIN, Death};
use crate::explain::signal_name::{SIGKILL, signal_name};
use crate::model::EvidenceSource;

/// Words the absences that speak for or against a cause.
pub(super) fn facts(death: &Death<'_>) -> impl Iterator<Item = Fact> {
    [no_init_exit(death), no_oom_record(death), no_sender(death)]
        .into_iter()
        .flatten()
}

fn no_init_exit(death: &Death<'_>) -> Option<Fact> {
    let is_case = death.oom.is_some() && death.is_container_child() && death.init_exit.is_none();
    is_case.then(|| {
        let text = format!(
            "No end of the container's process 1 was recorded within {} s of the kill",
            CONTAINER_MARGIN.as_secs()
        );
        absence(death, FactKind::InitAlive, text)
    })
}

fn no_oom_record(death: &Death<'_>) -> Option<Fact> {
    let is_case = death.oom.is_none() && death.died_of() == SIGKILL;
    is_case.then(|| {
        let watching = if death.coverage.would_see_oom {
            "and the OOM probe was attached and watching"
        } else {
            "but one could have been missed"
        };
        let text = format!("No OOM kill of {} was recorded, {watching}", death.victim());
        absence(death, FactKind::NoOomRecord, text)
    })
}

fn no_sender(death: &Death<'_>) -> Option<Fact> {
    let is_case = death.oom.is_none() && death.killer().is_none() && death.died_of() != 0;
    is_case.then(|| {
        let text = format!(
            "Who sent {} to {} was not recorded",
            signal_name(death.died_of()),
            death.victim()
        );
        absence(death, FactKind::NoSenderRecord, text)
    })
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
