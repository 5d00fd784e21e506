//! The life of an incident: how it opens, changes, grows, ends and comes back. Must not repeat what
//! the detectors' own tests check.

use std::time::Duration;

use crate::config::{
    MAX_ALIASES, MAX_CLOCK_AHEAD, MAX_EVIDENCE, MAX_INCIDENTS, QUIET_PERIOD, REOPEN_WITHIN,
};
use crate::model::{
    Incident, IncidentState, Inventory, NodeCoverage, Severity, Signal, SignalBody, Timestamp,
};
use crate::testing::checks::{opens, rests_on_facts, sight_without};
use crate::testing::{Actor, at_ms, full_sight, incidents_of, inventory, seeing_all, step};
use crate::{Config, Engine, Input, Output};

/// A whole OOM kill of `worker[pid]`.
fn oom(pid: u32, at: Timestamp) -> Vec<Signal> {
    let worker = Actor::new("worker", pid);
    vec![
        worker.oom(&format!("oom-{pid}"), at),
        worker.exit(&format!("exit-{pid}"), at.plus(Duration::from_millis(2)), 9),
    ]
}

fn step_seeing(inventory: &Inventory, signals: Vec<Signal>) -> Output {
    Engine::default().step(Input {
        now: at_ms(1000),
        inventory,
        signals,
    })
}

fn confidence(inventory: &Inventory) -> f64 {
    let changed = step_seeing(inventory, oom(7, at_ms(0))).changed;
    changed[0].root_cause.confidence.get()
}

#[test]
fn an_oom_record_that_comes_late_replaces_the_cause_in_the_same_incident() {
    let mut signals = oom(7, at_ms(0));
    let record = signals.remove(0);
    let mut engine = Engine::default();
    let first = step(&mut engine, at_ms(10), signals).changed.remove(0);
    assert_eq!(first.root_cause.cause.0, "undetermined");
    let output = step(&mut engine, at_ms(900), vec![record]);
    let [incident] = output.changed.as_slice() else {
        panic!("one incident expected: {:#?}", output.changed);
    };
    assert_eq!(incident.id, first.id);
    assert_eq!(incident.root_cause.cause.0, "memory-limit-oom");
    assert_eq!(incident.occurrences, 1);
    assert_eq!(
        output.requested_analyses,
        std::slice::from_ref(&incident.id)
    );
    let [change] = incident.history.as_slice() else {
        panic!("one change expected: {:#?}", incident.history);
    };
    assert_eq!(
        (change.at, change.from.0.as_str(), change.to.0.as_str()),
        (at_ms(900), "undetermined", "memory-limit-oom")
    );
    assert!(
        !incident
            .evidence
            .iter()
            .any(|fact| fact.text.contains("No OOM kill")),
        "what is no longer true is no fact: {:#?}",
        incident.evidence
    );
    let kept = incident.evidence.iter().find(|fact| fact.id.0 == 1);
    assert_eq!(kept, first.evidence.first(), "a number keeps its meaning");
    rests_on_facts(incident);
}

#[test]
fn all_victims_of_one_workload_are_one_incident() {
    let signals = (1..=20)
        .flat_map(|pid| oom(pid, at_ms(i64::from(pid))))
        .collect();
    let incidents = incidents_of(signals);
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].occurrences, 20);
    assert!(
        incidents[0].headline.starts_with("worker[1] "),
        "the first is the cause"
    );
    for pid in 1..=20 {
        assert!(incidents[0].aliases.contains(&pid.to_string()));
    }
}

/// The kernel sends the SIGKILL and records its choice just after.
#[test]
fn the_chain_tells_the_cause_before_its_effect() {
    let worker = Actor::new("worker", 7);
    let signals = vec![
        worker.killed_by_kernel("kill", at_ms(0)),
        worker.oom("oom", at_ms(1)),
        worker.exit("exit", at_ms(2), 9),
    ];
    let chain = &incidents_of(signals)[0].chain;
    let told: Vec<_> = chain
        .iter()
        .map(|link| (link.what.as_str(), link.at))
        .collect();
    assert_eq!(
        told,
        [
            ("cgroup /demo/limited reached its memory limit", at_ms(0)),
            ("the OOM killer chose worker[7]", at_ms(0)),
            ("worker[7] got SIGKILL (9) from the kernel", at_ms(0)),
            ("worker[7] ended", at_ms(2)),
        ]
    );
}

#[test]
fn workloads_have_incidents_of_their_own() {
    let cgroup = Actor::new("worker", 1).in_cgroup(1, "/a");
    let other = Actor::new("worker", 2).in_cgroup(2, "/b");
    let root = Actor::new("worker", 3).in_cgroup(3, "/");
    let pod = Actor::new("worker", 4).in_pod("uid-1");
    let same_pod = Actor::new("worker", 5).in_cgroup(4, "/c").in_pod("uid-1");
    let signals = [cgroup, other, root, pod, same_pod]
        .iter()
        .enumerate()
        .map(|(number, actor)| actor.exit(&format!("s-{number}"), at_ms(number as i64), 11))
        .collect();
    let mut fingerprints: Vec<String> = incidents_of(signals)
        .into_iter()
        .map(|incident| incident.fingerprint.0)
        .collect();
    fingerprints.sort();
    assert_eq!(
        fingerprints,
        [
            "runtime/node-1/cgroup/a",
            "runtime/node-1/cgroup/b",
            "runtime/node-1/command/worker",
            "runtime/node-1/pod/uid-1",
        ]
    );
}

#[test]
fn a_repeat_within_a_day_reopens_and_one_after_it_does_not() {
    let mut engine = Engine::default();
    let first = step(&mut engine, at_ms(10), oom(7, at_ms(0)))
        .changed
        .remove(0);
    let next_hour = at_ms(3_600_000);
    let resolved = step(&mut engine, next_hour, vec![]).changed.remove(0);
    assert_eq!(resolved.state, IncidentState::Resolved);

    let output = step(&mut engine, next_hour, oom(8, next_hour));
    let reopened = &output.changed[0];
    assert_eq!(reopened.id, first.id);
    assert_eq!(reopened.state, IncidentState::Open);
    assert_eq!(reopened.resolved_at, None);
    assert_eq!(reopened.occurrences, 2);
    assert_eq!(output.requested_analyses, std::slice::from_ref(&first.id));

    let later = next_hour.plus(REOPEN_WITHIN).plus(Duration::from_mins(1));
    let new = step(&mut engine, later, oom(9, later)).changed;
    let opened: Vec<&Incident> = new
        .iter()
        .filter(|incident| incident.id != first.id)
        .collect();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].fingerprint, first.fingerprint);
    assert_eq!(opened[0].occurrences, 1);
}

#[test]
fn the_id_is_made_of_fingerprint_and_first_onset() {
    let id = |signals| incidents_of(signals).remove(0).id.0;
    assert_eq!(id(oom(7, at_ms(0))), id(oom(7, at_ms(0))));
    assert_ne!(id(oom(7, at_ms(0))), id(oom(7, at_ms(1))));
    let text = id(oom(7, at_ms(0)));
    let hex = text.strip_prefix("inc-").unwrap();
    assert_eq!(hex.len(), 12);
    assert!(hex.chars().all(|char| char.is_ascii_hexdigit()));
}

#[test]
fn a_crash_loop_keeps_its_first_and_newest_facts_and_no_number_twice() {
    let mut engine = Engine::default();
    let mut texts = std::collections::BTreeMap::new();
    for pid in 1..=200_u32 {
        let at = at_ms(i64::from(pid) * 60_000);
        let changed = step(&mut engine, at, oom(pid, at)).changed;
        for fact in &changed[0].evidence {
            let text = texts.entry(fact.id).or_insert_with(|| fact.text.clone());
            assert_eq!(*text, fact.text, "a number keeps its meaning");
        }
    }
    let incident = engine.incidents().next().unwrap();
    assert_eq!(incident.occurrences, 200);
    assert_eq!(incident.evidence.len(), MAX_EVIDENCE);
    assert_eq!(incident.aliases.len(), MAX_ALIASES);
    let names = |text: &str| {
        incident
            .evidence
            .iter()
            .any(|fact| fact.text.contains(text))
    };
    assert!(names("worker[1]") && names("worker[200]"));
    assert!(incident.headline.starts_with("worker[200]"));
    assert!(
        incident
            .impact
            .iter()
            .any(|line| line.starts_with("in all 200 faults"))
    );
    rests_on_facts(incident);
}

#[test]
fn the_first_and_the_most_severe_of_one_story_is_told() {
    let init = Actor::new("server", 50).in_container("c0ffee", 1);
    let child = Actor::new("worker", 51).in_container("c0ffee", 2);
    let cases = [
        // A crash takes another process along.
        (
            vec![
                child.exit("s-1", at_ms(0), 11),
                child_of_story(52, at_ms(500)),
            ],
            "worker[51]",
        ),
        // An OOM kill of process 1 outweighs the crash before it.
        (
            vec![child.exit("s-1", at_ms(0), 11), init.oom("s-2", at_ms(500))],
            "server[50]",
        ),
        // A later crash is another story.
        (
            vec![
                child.exit("s-1", at_ms(0), 11),
                child_of_story(52, at_ms(60_000)),
            ],
            "worker[52]",
        ),
    ];
    for (signals, told) in cases {
        let together = incidents_of(signals.clone());
        let mut engine = Engine::default();
        for signal in signals {
            step(&mut engine, at_ms(60_000), vec![signal]);
        }
        for incident in together.iter().chain(engine.incidents()) {
            assert!(
                incident.headline.starts_with(told),
                "{told}: {}",
                incident.headline
            );
            assert_eq!(incident.occurrences, 2);
        }
    }
}

fn child_of_story(pid: u32, at: Timestamp) -> Signal {
    let child = Actor::new("worker", pid).in_container("c0ffee", 3);
    child.exit(&format!("exit-{pid}"), at, 11)
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let first = Actor::new("worker", 7).started(1);
    let second = Actor::new("worker", 7).started(2);
    let incidents = incidents_of(vec![
        first.oom("s-1", at_ms(0)),
        second.oom("s-2", at_ms(100)),
        first.exit("s-3", at_ms(50), 9),
        second.exit("s-4", at_ms(150), 9),
    ]);
    assert_eq!(incidents.len(), 1);
    assert_eq!(incidents[0].occurrences, 2);
}

#[test]
fn a_clock_that_runs_ahead_does_not_hold_the_incident_open() {
    let now = at_ms(0);
    let ahead = now.plus(MAX_CLOCK_AHEAD).plus(Duration::from_hours(1));
    let mut engine = Engine::default();
    let incident = step(&mut engine, now, oom(7, ahead)).changed.remove(0);
    assert_eq!(incident.last_seen_at, now);
    assert!(
        incident
            .coverage
            .iter()
            .any(|note| note.contains("clock of node node-1"))
    );
    let closed = step(&mut engine, now.plus(QUIET_PERIOD), vec![]).changed;
    assert_eq!(closed[0].state, IncidentState::Resolved);

    let slightly = now.plus(MAX_CLOCK_AHEAD);
    let incident = step(&mut Engine::default(), now, oom(7, slightly))
        .changed
        .remove(0);
    assert_eq!(incident.last_seen_at, slightly);
    assert_eq!(incident.coverage, [""; 0]);
}

#[test]
fn what_cannot_hide_a_kill_is_told_and_lowers_nothing() {
    let seen = inventory(NodeCoverage {
        left_out: 7,
        ..seeing_all()
    });
    assert!(confidence(&seen) >= confidence(&full_sight()));
    let input = Input {
        now: at_ms(0),
        inventory: &seen,
        signals: oom(7, at_ms(0)),
    };
    assert_eq!(
        Engine::default().step(input).changed[0].coverage,
        [
            "7 routine records (program starts, exits, cgroups, counts) of node node-1 were left out; \
         no kill is among them"
        ]
    );
}

#[test]
fn losses_and_gaps_lower_the_confidence_and_are_told() {
    let full = confidence(&full_sight());
    let near = (at_ms(-30_000), at_ms(-20_000));
    let far = (at_ms(-900_000), at_ms(-800_000));
    let coverage = |gaps, lost| {
        inventory(NodeCoverage {
            gaps,
            lost,
            ..seeing_all()
        })
    };
    assert!(confidence(&coverage(vec![near], 0)) < full);
    assert!(confidence(&coverage(vec![], 3)) < full);
    assert!(confidence(&coverage(vec![near], 3)) < confidence(&coverage(vec![near], 0)));
    assert!(confidence(&Inventory::default()) < full);
    assert!((confidence(&coverage(vec![far], 0)) - full).abs() < f64::EPSILON);

    let told = &step_seeing(&coverage(vec![near], 3), oom(7, at_ms(0))).changed[0].coverage;
    assert_eq!(
        *told,
        [
            "3 records were lost on node node-1 since its agent started",
            "the agent was not watching from 2025-12-31T23:59:30.000Z to 2025-12-31T23:59:40.000Z",
        ]
    );
}

#[test]
fn a_gap_that_only_a_signal_tells_of_counts_too() {
    let gap = SignalBody::CoverageGap {
        start: at_ms(-30_000),
        end: at_ms(-20_000),
        reason: crate::model::signal::GapReason::AgentRestarted,
    };
    let mut signals = oom(7, at_ms(0));
    signals.push(Actor::new("agent", 1).signal("gap", at_ms(-20_000), gap));
    let incidents = incidents_of(signals);
    assert!(incidents[0].coverage[0].ends_with(": it restarted"));
    assert!(incidents[0].root_cause.confidence.get() < confidence(&full_sight()));
}

#[test]
fn without_the_oom_probe_a_sigkill_says_what_is_missing() {
    let sight = sight_without("mark_victim", "OOM kills cannot be told from other kills");
    let exit = Actor::new("worker", 7).exit("s-1", at_ms(0), 9);
    let output = step_seeing(&sight, vec![exit]);
    let incident = &output.changed[0];
    assert_eq!(incident.root_cause.cause.0, "undetermined");
    assert!(incident.explanation.contains("could have been missed"));
    assert!(incident.coverage[0].contains("OOM kills cannot be told"));
    let oom = incident
        .hypotheses
        .iter()
        .find(|hypothesis| hypothesis.cause.0 == "memory-limit-oom");
    assert_eq!(
        oom.unwrap().contradicts,
        [],
        "an absence that nobody watched is no evidence"
    );
}

#[test]
fn a_probe_of_which_nothing_is_known_is_not_taken_for_attached() {
    let silent = inventory(NodeCoverage::default());
    let exit = Actor::new("worker", 7).exit("s-1", at_ms(0), 9);
    let incident = &step_seeing(&silent, vec![exit]).changed[0];
    assert!(
        incident.explanation.contains("could have been missed"),
        "{}",
        incident.explanation
    );
}

#[test]
fn an_agent_that_keeps_failing_does_not_fill_the_report() {
    let gaps = (1..=20).map(|s| (at_ms(-1000 * s), at_ms(-1000 * s + 500)));
    let coverage = NodeCoverage {
        gaps: gaps.collect(),
        ..seeing_all()
    };
    let told = &step_seeing(&inventory(coverage), oom(7, at_ms(0))).changed[0].coverage;
    assert_eq!(told.len(), 6, "{told:?}");
    assert_eq!(
        told[5],
        "nor was it at 15 other times within 60.0 s of the fault"
    );
}

#[test]
fn a_busy_build_machine_opens_nothing() {
    let make = Actor::new("make", 2);
    let mut signals = Vec::new();
    for pid in 100..400 {
        let job = Actor::new("cc1", pid).child_of(2);
        for (number, with) in [(0, 0), (1, 15), (2, 13), (3, 2)] {
            let id = format!("{pid}-{number}");
            signals.push(job.killed_by(&format!("{id}-by"), at_ms(i64::from(pid)), with, &make));
            signals.push(job.exit(&id, at_ms(i64::from(pid)), with));
        }
    }
    assert_eq!(incidents_of(signals), []);
}

#[test]
fn a_kill_survives_any_number_of_execs_before_its_exit() {
    let mut signals = oom(7, at_ms(0));
    let exit = signals.split_off(1);
    let mut engine = Engine::default();
    step(&mut engine, at_ms(10), signals);
    let shell = Actor::new("sh", 9);
    let execs = (0..20_000).map(|number| {
        let filename = "/bin/true".to_owned();
        let exec = SignalBody::ProcessExec { filename };
        shell.signal(&format!("exec-{number}"), at_ms(20), exec)
    });
    assert_eq!(step(&mut engine, at_ms(20), execs.collect()).changed, []);
    let changed = step(&mut engine, at_ms(30), exit).changed;
    assert_eq!(changed[0].occurrences, 1);
    assert_eq!(changed[0].root_cause.cause.0, "memory-limit-oom");
}

/// Hours of work, were every signal compared with every other for each of them.
#[test]
fn a_flood_about_one_pid_is_taken_in_parts_and_within_bounds() {
    let flood = (0..10_000_u32).map(|number| {
        let start = u64::from(number % 2 * number);
        let victim = Actor::new("job", 7).started(start);
        victim.exit(&format!("s-{number}"), at_ms(i64::from(number)), 9)
    });
    let output = step_seeing(&full_sight(), flood.collect());
    assert_eq!(output.changed.len(), 1);
    assert!(output.changed[0].evidence.len() <= MAX_EVIDENCE);
    let forgot = "1808 signals left the window early: more came than it may hold";
    assert_eq!(output.decisions.last().map(String::as_str), Some(forgot));
}

#[test]
fn a_spool_sent_after_an_outage_is_correlated_like_live_signals() {
    let mut engine = Engine::default();
    let now = at_ms(7_200_000);
    for signal in oom(7, at_ms(0)) {
        step(&mut engine, now, vec![signal]);
    }
    let incident = engine.incidents().next().unwrap();
    assert_eq!(incident.root_cause.cause.0, "memory-limit-oom");
    assert_eq!(incident.occurrences, 1);
    assert_eq!(incident.state, IncidentState::Resolved);
    assert_eq!(incident.resolved_at, Some(at_ms(0).plus(QUIET_PERIOD)));
}

#[test]
fn beyond_the_bound_the_oldest_is_resolved_and_let_go() {
    let count = MAX_INCIDENTS as i64 + 3;
    let signals = (0..count).map(|number| {
        let path = format!("/service-{number}");
        let actor = Actor::new("job", number as u32 + 1).in_cgroup(number as u64, &path);
        actor.exit(&format!("s-{number}"), at_ms(number), 11)
    });
    let mut engine = Engine::default();
    let output = step(&mut engine, at_ms(count), signals.collect());
    assert_eq!(engine.incidents().count(), MAX_INCIDENTS);
    assert_eq!(
        output.changed.len(),
        MAX_INCIDENTS + 3,
        "what is let go is told"
    );
    let let_go: Vec<&Incident> = output
        .changed
        .iter()
        .filter(|incident| incident.state == IncidentState::Resolved)
        .collect();
    assert_eq!(let_go.len(), 3);
    assert!(let_go.iter().all(|incident| incident.opened_at < at_ms(3)));
    let logged = output
        .decisions
        .iter()
        .filter(|line| line.contains("no longer held"));
    assert_eq!(logged.count(), 3);
}

#[test]
fn the_quiet_period_is_configurable() {
    let config = Config {
        quiet_period: Duration::from_secs(5),
        ..Config::default()
    };
    let mut engine = Engine::default().with_config(config);
    step(&mut engine, at_ms(10), oom(7, at_ms(0)));
    assert_eq!(step(&mut engine, at_ms(4_999), vec![]).changed, []);
    assert_eq!(step(&mut engine, at_ms(5_000), vec![]).changed.len(), 1);
}

#[test]
fn names_from_the_kernel_cannot_carry_control_characters_into_a_report() {
    let evil = Actor::new("a\u{1b}[2J", 7).in_cgroup(5, "/x\ny");
    let incident = opens(
        vec![evil.exit("s-1", at_ms(0), 11)],
        "native-crash",
        Severity::Warning,
    );
    let printed = format!("{incident:#?}");
    assert!(
        !printed.contains("\\u{1b}") && !printed.contains("x\\ny"),
        "{printed}"
    );
}
