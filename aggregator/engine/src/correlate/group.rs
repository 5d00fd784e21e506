//! Groups signals by the process that they are about. Must keep processes apart that had one pid
//! after another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::window::{Arrival, Window};
use crate::model::{NodeName, Signal, Timestamp};

/// Signals of one pid without a start time belong together when they are this near: pids wrap
/// around later than that, and a dying process ends sooner.
const SAME_PROCESS_MARGIN: Duration = Duration::from_mins(1);

/// The signals about one process, in order of arrival.
pub(crate) type Group = Vec<Arrival>;

/// Gives the groups that the given signals belong to, each once, in order of its earliest arrival.
pub(crate) fn groups_of(window: &Window, arrivals: &[Arrival]) -> Vec<Group> {
    let mut groups = BTreeSet::new();
    let mut pids = BTreeSet::new();
    for arrival in arrivals {
        let Some(signal) = window.get(*arrival) else {
            continue;
        };
        if let Some(process) = &signal.subject.process {
            pids.insert((&signal.node, process.pid));
        } else {
            groups.insert(vec![*arrival]);
        }
    }
    let asked: BTreeSet<&Arrival> = arrivals.iter().collect();
    for (node, pid) in pids {
        let processes = processes(window, node, pid).into_iter();
        groups.extend(processes.filter(|group| group.iter().any(|at| asked.contains(at))));
    }
    groups.into_iter().collect()
}

/// Sorts the signals of one pid into those of each process that had it: by its start time, and
/// without one to the process that is nearest in time.
fn processes(window: &Window, node: &NodeName, pid: u32) -> Vec<Group> {
    let mut of_pid: Vec<(Arrival, &Signal)> = window.of_pid(node, pid).collect();
    of_pid.sort_by_key(|(_, signal)| (start_of(signal) == 0, signal.observed_at, &signal.id));
    let mut processes = Processes::default();
    for (arrival, signal) in of_pid {
        processes.add(arrival, signal);
    }
    let mut groups = processes.groups;
    for group in &mut groups {
        group.sort_unstable();
    }
    groups
}

/// The processes of one pid, found by start time and by the time of what is known of them.
#[derive(Debug, Default)]
struct Processes {
    groups: Vec<Group>,
    by_start: BTreeMap<u64, usize>,
    /// Of several processes at one time, the one that started first.
    by_time: BTreeMap<Timestamp, Place>,
}

/// A process by its start time, 0 when unknown, and its group.
type Place = (u64, usize);

impl Processes {
    /// Adds a signal; those with a start time must come before those without, each in order of time.
    fn add(&mut self, arrival: Arrival, signal: &Signal) {
        let at = signal.observed_at;
        let start = start_of(signal);
        let known = if start == 0 {
            self.nearest(at)
        } else {
            self.by_start.get(&start).map(|index| (start, *index))
        };
        let place = known.unwrap_or((start, self.groups.len()));
        if known.is_none() {
            self.groups.push(Group::new());
        }
        if start != 0 {
            self.by_start.insert(start, place.1);
        }
        let first = self.by_time.entry(at).or_insert(place);
        *first = (*first).min(place);
        if let Some(group) = self.groups.get_mut(place.1) {
            group.push(arrival);
        }
    }

    fn nearest(&self, at: Timestamp) -> Option<Place> {
        let before = self.by_time.range(..=at).next_back();
        let after = self.by_time.range(at..).next();
        let (distance, place) = [before, after]
            .into_iter()
            .flatten()
            .map(|(known, place)| (known.since(at).max(at.since(*known)), *place))
            .min()?;
        (distance <= SAME_PROCESS_MARGIN).then_some(place)
    }
}

fn start_of(signal: &Signal) -> u64 {
    signal
        .subject
        .process
        .as_ref()
        .map_or(0, |process| process.start_ktime_ns)
}

#[cfg(test)]
mod tests {
    use super::groups_of;
    use crate::correlate::window::Window;
    use crate::testing::{Actor, at_ms};

    /// Inserts exits of one pid with (start, time) and says how many groups they are.
    fn check(exits: &[(u64, i64)], groups: usize) {
        let mut window = Window::default();
        let arrivals: Vec<_> = exits
            .iter()
            .enumerate()
            .filter_map(|(number, (start, ms))| {
                let actor = Actor::new("job", 7).started(*start);
                window.insert(actor.exit(&format!("s-{number}"), at_ms(*ms), 9))
            })
            .collect();
        assert_eq!(groups_of(&window, &arrivals).len(), groups, "{exits:?}");
    }

    #[test]
    fn joins_by_pid_and_start_time() {
        check(&[(5, 0), (5, 10)], 1);
        check(&[(5, 0), (6, 10)], 2);
    }

    #[test]
    fn joins_an_unknown_start_with_the_nearest_process() {
        check(&[(5, 0), (0, 10)], 1);
        check(&[(5, 0), (0, 100_000)], 2);
        check(&[(5, 0), (6, 50_000), (0, 49_000)], 2);
        check(&[(0, 0), (0, 10)], 1);
        check(&[(0, 0), (0, 100_000)], 2);
    }
}
