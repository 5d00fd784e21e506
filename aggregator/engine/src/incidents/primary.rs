//! Which of its cases an incident tells of: its primary. Must read that from the incident alone, for
//! a restored engine has nothing else.

use std::time::Duration;

use super::Judged;
use crate::explain::facts::Fact;
use crate::model::{CauseId, Evidence, Incident, Timestamp};

/// Deaths of one workload this near to each other are one story, and the first of them its cause: a
/// process that dies takes others along.
const STORY_SPAN: Duration = Duration::from_secs(10);

/// Whether the incident tells of this case; of a state, whether a sign of it is missing in what it tells.
pub(super) fn is_of(incident: &Incident, judged: &Judged<'_>) -> bool {
    let tells_of_death = incident.occurrences > 0;
    let is_death = judged.case.death().is_some();
    let rests_on = |evidence: &Evidence| {
        let signal = evidence.signal.as_ref();
        signal.is_some_and(|signal| judged.signal_ids().any(|id| id == signal))
    };
    if is_death {
        return facts(incident).any(rests_on);
    }
    let is_told = |fact: &Fact| {
        let mut known = incident.evidence.iter();
        known.any(|known| known.signal == fact.signal && known.text == fact.text)
    };
    (!tells_of_death || judged.judgment.spell.is_event)
        && incident.root_cause.cause == judged.judgment.cause
        // Once its first signs have left the window, those in it only tell that it goes on.
        && judged.judgment.spell.since <= onset(incident)
        && facts(incident).any(rests_on)
        && !judged.judgment.signs.iter().all(is_told)
}

/// Whether the incident should tell of this case rather than of its present primary: a death rather than
/// a state, the more severe, then the one that is explained, then the first of one story or the later
/// story.
pub(super) fn displaces(incident: &Incident, judged: &Judged<'_>) -> bool {
    let present = (incident.severity, is_determined(&incident.root_cause.cause));
    let judgment = &judged.judgment;
    let new = (judgment.severity, is_determined(&judgment.cause));
    let (onset, new_onset) = (onset(incident), judgment.spell.since);
    let tells_of_death = incident.occurrences > 0;
    if judged.case.death().is_none() {
        let is_another = incident.root_cause.cause != judgment.cause;
        let is_later = new_onset > incident.last_seen_at.plus(STORY_SPAN);
        let may_tell = !tells_of_death || judgment.spell.is_event;
        return is_another && is_later || may_tell && (new > present || new_onset < onset);
    }
    !tells_of_death
        || new > present
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

/// The facts that the best hypothesis rests on: they are all of one case.
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
