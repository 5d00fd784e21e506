//! What incidents of any cause must be: the checks that tests share. Must not know any detector.

use super::{at_ms, full_sight, incidents_of, step};
use crate::model::{EvidenceId, Incident, IncidentState, Inventory, Severity, Signal};
use crate::step::Engine;

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
    assert!(
        incident.chain.is_sorted_by_key(|link| link.at),
        "{:#?}",
        incident.chain
    );
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

/// The tests' node sees everything except by one probe, without which `missing` cannot be told.
pub(crate) fn sight_without(probe: &str, missing: &str) -> Inventory {
    let mut inventory = full_sight();
    for node in inventory.nodes.values_mut() {
        node.attached.remove(probe);
        node.missing.push(missing.to_owned());
    }
    inventory
}
