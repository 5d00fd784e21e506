//! The numbered facts of one incident, as a model gets them and as its sentences are checked
//! against. Must hold nothing of any other incident, and be the only thing that leaves for a provider.

use std::collections::{BTreeMap, HashSet};

use inquest_api::incident::{Entity, Evidence, Incident};
use serde::Serialize;

use super::validate::is_invisible;

/// Longest text of one fact, in bytes; one that lists several cgroup paths fits.
const MAX_TEXT_BYTES: usize = 1200;
/// Longest reason for a refusal, in bytes.
const MAX_REASON_BYTES: usize = 200;
/// Most bytes of facts sent for one incident: what a small model reads well, and a bound on cost.
const MAX_FACTS_BYTES: usize = 6 << 10;
/// Most ruled-out causes sent.
const MAX_RULED_OUT: usize = 8;

/// One fact.
#[derive(Debug, Serialize)]
struct Fact {
    id: String,
    source: String,
    time: String,
    about: String,
    text: String,
}

/// A cause the engine considered and refused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuledOut {
    cause: String,
    because: String,
    evidence: Vec<String>,
}

/// What is told about one incident.
#[derive(Debug)]
pub(crate) struct Facts {
    what_happened: String,
    cause: String,
    told: Vec<Fact>,
    ruled_out: Vec<RuledOut>,
    omitted: usize,
    /// Each fact on one line, by id: what a sentence that cites it may name.
    lines: BTreeMap<String, String>,
    names: HashSet<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    what_happened: &'a str,
    cause_found_by_rules: &'a str,
    facts: &'a [Fact],
    ruled_out: &'a [RuledOut],
    facts_left_out: usize,
}

impl Facts {
    /// Takes the facts of an incident, the ones that carry its root cause first when not all fit.
    pub(crate) fn of(incident: &Incident) -> Self {
        let mut wanted: Vec<&Evidence> = incident.evidence.iter().collect();
        let carrying = carrying(incident);
        wanted.sort_by_key(|evidence| !carrying.contains(evidence.id.as_str()));
        let what_happened = clean(&incident.headline, MAX_TEXT_BYTES);
        let ruled_out = ruled_out(incident);
        let mut room = MAX_FACTS_BYTES
            .saturating_sub(what_happened.len())
            .saturating_sub(json_len(&ruled_out));
        let mut chosen = HashSet::new();
        for evidence in wanted {
            let size = json_len(&fact(evidence));
            if size <= room {
                room -= size;
                chosen.insert(evidence.id.as_str());
            }
        }
        let kept = incident
            .evidence
            .iter()
            .filter(|evidence| chosen.contains(evidence.id.as_str()));
        let told: Vec<Fact> = kept.map(fact).collect();
        Self {
            what_happened,
            cause: clean(&incident.root_cause.cause, MAX_REASON_BYTES),
            ruled_out,
            omitted: incident.evidence.len() - told.len(),
            lines: told
                .iter()
                .map(|fact| (fact.id.clone(), fact.line()))
                .collect(),
            names: names(incident),
            told,
        }
    }

    /// Nothing to tell, so nothing to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// All that a sentence that cites `id` may rest on; `None` when the model was not told it.
    pub(crate) fn line(&self, id: &str) -> Option<&str> {
        self.lines.get(id).map(String::as_str)
    }

    /// Names of things in the incident, lower case.
    pub(crate) fn names(&self) -> &HashSet<String> {
        &self.names
    }

    /// The facts as JSON in which no text can end the block it stands in.
    pub(crate) fn to_json(&self) -> String {
        let told = Told {
            what_happened: &self.what_happened,
            cause_found_by_rules: &self.cause,
            facts: &self.told,
            ruled_out: &self.ruled_out,
            facts_left_out: self.omitted,
        };
        let json = serde_json::to_string(&told).unwrap_or_default();
        json.replace('<', "\\u003c").replace('>', "\\u003e")
    }
}

impl Fact {
    fn line(&self) -> String {
        format!(
            "{} {} {} {} {}",
            self.id, self.source, self.time, self.about, self.text
        )
    }
}

fn fact(evidence: &Evidence) -> Fact {
    Fact {
        id: clean(&evidence.id, MAX_REASON_BYTES),
        source: clean(&evidence.source, MAX_REASON_BYTES),
        time: evidence.time.0.to_string(),
        about: clean(&about(&evidence.entity), MAX_TEXT_BYTES),
        text: clean(&evidence.text, MAX_TEXT_BYTES),
    }
}

/// `Pod shop/web-1 container app on node n1`.
fn about(entity: &Entity) -> String {
    let mut text = format!("{} ", entity.kind);
    if !entity.namespace.is_empty() {
        text = text + &entity.namespace + "/";
    }
    text += &entity.name;
    if !entity.container.is_empty() {
        text = text + " container " + &entity.container;
    }
    if !entity.node.is_empty() {
        text = text + " on node " + &entity.node;
    }
    text
}

/// Ids of the facts that the root cause, the story and the refusals rest on.
fn carrying(incident: &Incident) -> HashSet<&str> {
    let best = incident.hypotheses.first();
    let supports = best
        .into_iter()
        .flat_map(|best| best.supports.iter().chain(&best.contradicts));
    let chain = incident.chain.iter().flat_map(|link| &link.evidence);
    let ruled_out = incident
        .ruled_out
        .iter()
        .flat_map(|ruled_out| &ruled_out.evidence);
    supports
        .chain(chain)
        .chain(ruled_out)
        .map(String::as_str)
        .collect()
}

fn ruled_out(incident: &Incident) -> Vec<RuledOut> {
    let refused = incident.ruled_out.iter().take(MAX_RULED_OUT);
    refused
        .map(|refused| RuledOut {
            cause: clean(&refused.cause, MAX_REASON_BYTES),
            because: clean(&refused.because, MAX_REASON_BYTES),
            evidence: refused.evidence.clone(),
        })
        .collect()
}

/// What the incident's own texts call things: entities, the last part of their paths, `comm` of `comm[pid]`.
fn names(incident: &Incident) -> HashSet<String> {
    let mut names = HashSet::new();
    for evidence in &incident.evidence {
        let entity = &evidence.entity;
        let parts = [
            &entity.namespace,
            &entity.name,
            &entity.container,
            &entity.node,
        ];
        for part in parts {
            names.extend(part.rsplit('/').next().map(str::to_lowercase));
        }
        let processes = evidence
            .text
            .split_whitespace()
            .chain([entity.name.as_str()]);
        names.extend(processes.filter_map(comm));
    }
    names.remove("");
    names
}

/// The `python` of `python[7]`.
fn comm(word: &str) -> Option<String> {
    let (comm, rest) = word.split_once('[')?;
    let is_process = rest.starts_with(|c: char| c.is_ascii_digit()) && !comm.is_empty();
    is_process.then(|| {
        comm.trim_start_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase()
    })
}

/// Bounds a text and leaves out what a reader would not see.
fn clean(text: &str, max_bytes: usize) -> String {
    let (kept, rest) = text.split_at(text.floor_char_boundary(max_bytes));
    let mut cleaned: String = kept
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_invisible(*c))
        .collect();
    if !rest.is_empty() {
        cleaned.push_str("...");
    }
    cleaned
}

fn json_len(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::validate::tests::incident;

    #[test]
    fn stays_within_its_bound_and_keeps_what_carries_the_cause() {
        let mut incident = incident();
        let template = incident.evidence[0].clone();
        incident.evidence = (1..=200)
            .map(|number| Evidence {
                id: format!("e{number}"),
                text: format!("fact {number} {}", "\u{20ac}\"".repeat(40)),
                ..template.clone()
            })
            .collect();
        incident.ruled_out = vec![inquest_api::incident::RuledOut {
            cause: "node-oom".to_owned(),
            because: "x".repeat(5000),
            evidence: vec!["e190".to_owned()],
        }];
        let facts = Facts::of(&incident);
        assert!(
            facts.to_json().len() < MAX_FACTS_BYTES + 512,
            "{}",
            facts.to_json().len()
        );
        assert!(facts.line("e190").is_some(), "a refusal rests on it");
        assert!(facts.line("e1").is_some());
        assert_eq!(facts.omitted + facts.told.len(), 200);
        let ids: Vec<_> = facts.told.iter().map(|fact| fact.id.as_str()).collect();
        assert_eq!(ids.last(), Some(&"e190"), "in the incident's order");
    }

    #[test]
    fn knows_what_the_incident_calls_things() {
        let facts = Facts::of(&incident());
        for name in ["python", "feeder", "sleep", "bash", "web", "n1"] {
            assert!(
                facts.names().contains(name),
                "{name} in {:?}",
                facts.names()
            );
        }
    }

    #[test]
    fn cuts_at_a_character_and_says_so() {
        assert_eq!(clean("a\u{20ac}\u{20ac}", 3), "a...");
        assert_eq!(clean("a\u{1b}[2J\n b\u{202e}", 99), "a[2J  b");
    }
}
