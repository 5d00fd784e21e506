//! What every detector must stand: the checks that their tests share. Must not know any detector.

use super::{at_ms, full_sight, incidents_of, step};
use crate::config::QUIET_PERIOD;
use crate::model::{EvidenceId, Incident, IncidentState, Inventory, Severity, Signal, Timestamp};
use crate::step::{Engine, Input};
use std::time::Duration;

/// One incident opens, of this cause, and a model may be asked about it.
pub(crate) fn opens(signals: Vec<Signal>, cause: &str, severity: Severity) -> Incident {
    let mut engine = Engine::default();
    let output = step(&mut engine, at_ms(1000), signals);
    let [incident] = output.changed.as_slice() else {
        panic!("one incident expected: {:#?}", output.changed);
    };
    assert_eq!(incident.root_cause.cause.0, cause, "{incident:#?}");
    assert_eq!(incident.severity, severity);
    assert_eq!(incident.state, IncidentState::Open);
    assert_eq!(incident.occurrences, 1);
    assert_eq!(
        output.requested_analyses,
        std::slice::from_ref(&incident.id)
    );
    incident.clone()
}

/// The causes of the incidents that these signals open.
pub(crate) fn causes(signals: Vec<Signal>) -> Vec<String> {
    let causes = incidents_of(signals).into_iter();
    causes.map(|incident| incident.root_cause.cause.0).collect()
}

/// The same signals again change nothing, in the same engine and in a restored one.
pub(crate) fn is_idempotent(signals: &[Signal]) {
    let mut engine = Engine::default();
    step(&mut engine, at_ms(1000), signals.to_vec());
    let held: Vec<Incident> = engine.incidents().cloned().collect();
    let mut restored = Engine::restore(held, signals.to_vec());
    for engine in [&mut engine, &mut restored] {
        let again = step(engine, at_ms(1000), signals.to_vec());
        assert_eq!(again.changed, []);
        assert_eq!(again.requested_analyses, []);
    }
}

/// A repeat a minute later adds to the incident, which tells of the newest fault.
pub(crate) fn merges_repeats(first: Vec<Signal>, repeat: Vec<Signal>) {
    let mut engine = Engine::default();
    let opened = step(&mut engine, at_ms(1000), first).changed;
    let output = step(&mut engine, at_ms(120_000), repeat);
    let [incident] = output.changed.as_slice() else {
        panic!("one incident expected: {:#?}", output.changed);
    };
    assert_eq!(incident.id, opened[0].id);
    assert_eq!(incident.occurrences, 2);
    assert_ne!(incident.headline, opened[0].headline);
    assert!(
        incident
            .impact
            .iter()
            .any(|line| line.starts_with("in all 2 faults"))
    );
    assert_eq!(output.requested_analyses, [], "the cause is the same");
}

/// It stays open for the quiet period, then a tick resolves it.
pub(crate) fn closes_when_quiet(signals: Vec<Signal>) {
    let mut engine = Engine::default();
    let opened = step(&mut engine, at_ms(1000), signals).changed;
    let end = opened[0].last_seen_at.plus(QUIET_PERIOD);
    assert_eq!(
        step(&mut engine, end.minus(Duration::from_nanos(1)), vec![]).changed,
        []
    );
    let closed = step(&mut engine, end, vec![]).changed;
    assert_eq!(closed[0].state, IncidentState::Resolved);
    assert_eq!(closed[0].resolved_at, Some(end));
    assert_eq!(step(&mut engine, end, vec![]).changed, []);
}

/// Whatever the order in which the signals come, one by one and an hour late, the same is told.
pub(crate) fn survives_any_order(signals: &[Signal]) {
    let expected = told(&incidents_of(signals.to_vec()));
    for order in permutations(signals) {
        let mut engine = Engine::default();
        for signal in order {
            step(&mut engine, at_ms(1000), vec![signal]);
        }
        let incidents: Vec<Incident> = engine.incidents().cloned().collect();
        assert_eq!(told(&incidents), expected);
        assert_eq!(incidents[0].occurrences, 1);
    }
    let mut late = Engine::default();
    step(&mut late, at_ms(3_600_000), signals.to_vec());
    let incidents: Vec<Incident> = late.incidents().cloned().collect();
    assert_eq!(told(&incidents), expected);
    assert_eq!(incidents[0].state, IncidentState::Resolved);
}

/// With nothing known of the node and of the cgroup, the cause is the same, less surely.
pub(crate) fn survives_missing_data(mut signals: Vec<Signal>) {
    let expected = &incidents_of(signals.clone())[0];
    for signal in &mut signals {
        signal.subject.cgroup = None;
        signal.subject.pod_uid = None;
        signal.ktime_ns = 0;
    }
    let mut engine = Engine::default();
    let output = engine.step(Input {
        now: at_ms(1000),
        inventory: &Inventory::default(),
        signals,
    });
    let incident = &output.changed[0];
    assert_eq!(incident.root_cause.cause, expected.root_cause.cause);
    assert!(incident.root_cause.confidence < expected.root_cause.confidence);
    assert!(!incident.coverage.is_empty());
}

/// The best hypothesis rests on exactly these facts, and the story names nothing that no fact holds.
pub(crate) fn explains_itself(signals: Vec<Signal>, supports: &[u32]) {
    let incident = &incidents_of(signals)[0];
    let ids: Vec<u32> = incident.hypotheses[0]
        .supports
        .iter()
        .map(|id| id.0)
        .collect();
    assert_eq!(ids, supports, "{:#?}", incident.evidence);
    rests_on_facts(incident);
    assert!(!incident.remediation.is_empty());
    assert!(!incident.impact.is_empty());
    assert!(!incident.ruled_out.is_empty());
}

/// Everything cited exists; names and numbers of the story are those of facts.
pub(crate) fn rests_on_facts(incident: &Incident) {
    let numbered: Vec<EvidenceId> = incident.evidence.iter().map(|fact| fact.id).collect();
    let hypotheses = incident.hypotheses.iter();
    let cited = hypotheses
        .flat_map(|hypothesis| hypothesis.supports.iter().chain(&hypothesis.contradicts))
        .chain(incident.chain.iter().flat_map(|link| &link.evidence))
        .chain(incident.ruled_out.iter().flat_map(|ruled| &ruled.evidence));
    for id in cited {
        assert!(numbered.contains(id), "{id:?} is cited but not there");
    }
    assert!(incident.chain.is_sorted_by_key(|link| link.at));
    assert!(incident.chain.iter().all(|link| !link.evidence.is_empty()));
    let facts: String = incident
        .evidence
        .iter()
        .map(|fact| fact.text.as_str())
        .collect();
    for text in [&incident.headline, &incident.explanation] {
        for word in telling_words(text) {
            assert!(facts.contains(&word), "`{word}` of `{text}` is in no fact");
        }
    }
}

/// Names with a pid, paths and numbers, these with their unit.
fn telling_words(text: &str) -> Vec<String> {
    let words: Vec<&str> = text
        .split_whitespace()
        .map(|word| word.trim_matches(|char| ",.;:()".contains(char)))
        .collect();
    let mut telling = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).copied().unwrap_or_default();
        if next.ends_with("iB") || next == "B" || next.starts_with("level") {
            telling.push(format!("{word} {next}"));
        } else if word.starts_with('/') || word.ends_with(']') || word.starts_with("0x") {
            telling.push((*word).to_owned());
        }
    }
    telling
}

/// What an incident tells, without the numbers that its facts happened to get.
fn told(incidents: &[Incident]) -> Vec<(String, String, String, f64, Timestamp)> {
    incidents
        .iter()
        .map(|incident| {
            (
                incident.root_cause.cause.0.clone(),
                incident.headline.clone(),
                incident.explanation.clone(),
                incident.root_cause.confidence.get(),
                incident.opened_at,
            )
        })
        .collect()
}

fn permutations(signals: &[Signal]) -> Vec<Vec<Signal>> {
    let [first, rest @ ..] = signals else {
        return vec![vec![]];
    };
    permutations(rest)
        .into_iter()
        .flat_map(|order| {
            (0..=order.len()).map(move |place| {
                let mut order = order.clone();
                order.insert(place, first.clone());
                order
            })
        })
        .collect()
}

/// The tests' node sees everything except by one probe, without which `missing` cannot be told.
pub(crate) fn sight_without(probe: &str, missing: &str) -> Inventory {
    let mut inventory = full_sight();
    for node in inventory.nodes.values_mut() {
        node.attached.remove(probe);
        node.missing.push(missing.to_owned());
    }
    inventory
}
