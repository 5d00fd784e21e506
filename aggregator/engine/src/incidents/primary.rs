//! Which of its deaths an incident tells of: its primary. Must read that from the incident alone, for
//! a restored engine has nothing else.

use std::time::Duration;

use super::Judged;
use crate::correlate::death::Death;
use crate::model::{CauseId, Evidence, Incident, Timestamp};

/// Deaths of one workload this near to each other are one story, and the first of them its cause: a
/// process that dies takes others along.
const STORY_SPAN: Duration = Duration::from_secs(10);

/// Whether the incident tells of this death.
pub(super) fn is_of(incident: &Incident, death: &Death<'_>) -> bool {
    facts(incident).any(|fact| {
        let signal = fact.signal.as_ref();
        signal.is_some_and(|signal| death.signal_ids().any(|id| id == signal))
    })
}

/// Whether the incident should tell of this death rather than of its present primary: the more
/// severe one wins, then the one that is explained, then the first of one story or the later story.
pub(super) fn displaces(incident: &Incident, judged: &Judged<'_>) -> bool {
    let present = (incident.severity, is_determined(&incident.root_cause.cause));
    let new = (
        judged.judgment.severity,
        is_determined(&judged.judgment.cause),
    );
    let (onset, new_onset) = (onset(incident), judged.death.onset);
    new > present
        || new == present
            && (new_onset > onset.plus(STORY_SPAN)
                || new_onset < onset && new_onset.plus(STORY_SPAN) >= onset)
}

fn is_determined(cause: &CauseId) -> bool {
    cause.0 != CauseId::UNDETERMINED
}

fn onset(incident: &Incident) -> Timestamp {
    facts(incident)
        .map(|fact| fact.at)
        .min()
        .unwrap_or(incident.opened_at)
}

/// The facts that the best hypothesis rests on: they are all of one death.
fn facts(incident: &Incident) -> impl Iterator<Item = &Evidence> {
    let supports = incident
        .hypotheses
        .first()
        .map_or(&[][..], |hypothesis| hypothesis.supports.as_slice());
    incident
        .evidence
        .iter()
        .filter(move |fact| supports.contains(&fact.id))
}
