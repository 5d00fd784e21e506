//! Groups signals by the process that they are about. Must keep processes apart that had one pid
//! after another.

use std::collections::BTreeSet;
use std::time::Duration;

use super::window::{Arrival, Window};
use crate::model::Signal;

/// Signals of one pid without a start time belong together when they are this near: pids wrap
/// around later than that, and a dying process ends sooner.
const SAME_PROCESS_MARGIN: Duration = Duration::from_mins(1);

/// The signals about one process, in order of arrival.
pub(crate) type Group = Vec<Arrival>;

/// Gives the groups that the given signals belong to, each once, in order of its earliest arrival.
pub(crate) fn groups_of(window: &Window, arrivals: &[Arrival]) -> Vec<Group> {
    let mut groups = BTreeSet::new();
    for arrival in arrivals {
        let Some(signal) = window.get(*arrival) else {
            continue;
        };
        groups.insert(group_of(window, *arrival, signal));
    }
    groups.into_iter().collect()
}

fn group_of(window: &Window, arrival: Arrival, signal: &Signal) -> Group {
    let Some(process) = &signal.subject.process else {
        return vec![arrival];
    };
    let mut starts: Vec<(u64, Vec<(Arrival, &Signal)>)> = Vec::new();
    let mut unknown = Vec::new();
    for (at, member) in window.of_pid(&signal.node, process.pid) {
        match start_of(member) {
            0 => unknown.push((at, member)),
            start => match starts.iter_mut().find(|(known, _)| *known == start) {
                Some((_, members)) => members.push((at, member)),
                None => starts.push((start, vec![(at, member)])),
            },
        }
    }
    let mut group: Group = if process.start_ktime_ns == 0 {
        nearest_start(&starts, signal)
    } else {
        starts
            .iter()
            .find(|(start, _)| *start == process.start_ktime_ns)
    }
    .map_or_else(|| vec![(arrival, signal)], |(_, members)| members.clone())
    .into_iter()
    .map(|(at, _)| at)
    .collect();
    let start = group
        .iter()
        .filter_map(|at| window.get(*at))
        .map(start_of)
        .find(|start| *start != 0);
    group.extend(unknown.iter().filter_map(|(at, member)| {
        let belongs = match nearest_start(&starts, member) {
            Some((nearest, _)) => Some(*nearest) == start,
            None => start.is_none() && is_near(member, signal),
        };
        belongs.then_some(*at)
    }));
    group.sort_unstable();
    group.dedup();
    group
}

fn nearest_start<'a, 'b>(
    starts: &'a [(u64, Vec<(Arrival, &'b Signal)>)],
    signal: &Signal,
) -> Option<&'a (u64, Vec<(Arrival, &'b Signal)>)> {
    starts
        .iter()
        .filter_map(|start| {
            let distance = start
                .1
                .iter()
                .map(|(_, member)| apart(member, signal))
                .min()?;
            (distance <= SAME_PROCESS_MARGIN).then_some((distance, start))
        })
        .min_by_key(|(distance, (start, _))| (*distance, *start))
        .map(|(_, start)| start)
}

fn is_near(one: &Signal, other: &Signal) -> bool {
    apart(one, other) <= SAME_PROCESS_MARGIN
}

fn apart(one: &Signal, other: &Signal) -> Duration {
    one.observed_at
        .since(other.observed_at)
        .max(other.observed_at.since(one.observed_at))
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
