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

/// One process's signals while they are sorted out: its start time, 0 when unknown.
#[derive(Debug)]
struct Member<'a> {
    start: u64,
    arrivals: Vec<(Arrival, &'a Signal)>,
}

fn group_of(window: &Window, arrival: Arrival, signal: &Signal) -> Group {
    let Some(process) = &signal.subject.process else {
        return vec![arrival];
    };
    let mut same_pid: Vec<(Arrival, &Signal)> = window.of_pid(&signal.node, process.pid).collect();
    same_pid.sort_by_key(|(_, signal)| (start_of(signal) == 0, signal.observed_at, &signal.id));
    let mut members: Vec<Member<'_>> = Vec::new();
    for (arrival, signal) in same_pid {
        match owner(&mut members, signal) {
            Some(member) => member.arrivals.push((arrival, signal)),
            None => members.push(Member {
                start: start_of(signal),
                arrivals: vec![(arrival, signal)],
            }),
        }
    }
    let mut groups = members.into_iter().map(|member| {
        let mut group: Group = member.arrivals.iter().map(|(at, _)| *at).collect();
        group.sort_unstable();
        group
    });
    groups
        .find(|group| group.contains(&arrival))
        .unwrap_or_else(|| vec![arrival])
}

/// The process that a signal belongs to, of those found so far: by its start time, else the nearest.
/// Signals with a start time come first, then the others in order of time.
fn owner<'m, 'a>(members: &'m mut [Member<'a>], signal: &Signal) -> Option<&'m mut Member<'a>> {
    let start = start_of(signal);
    if start != 0 {
        return members.iter_mut().find(|member| member.start == start);
    }
    members
        .iter_mut()
        .filter_map(|member| {
            let distances = member
                .arrivals
                .iter()
                .map(|(_, other)| apart(other, signal));
            let distance = distances.min()?;
            (distance <= SAME_PROCESS_MARGIN).then_some((distance, member))
        })
        .min_by_key(|(distance, member)| (*distance, member.start))
        .map(|(_, member)| member)
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
