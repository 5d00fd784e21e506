//! A model's answer with three inventions among honest sentences. The honest ones repeat facts that
//! the model was given, word for word.

use serde_json::{Value, json};
use testkit::llm::{Request, Script};

/// Honest sentences of the answer.
pub(super) const HONEST: usize = 2;

/// An invention.
#[derive(Debug)]
pub(super) struct Lie {
    pub what: &'static str,
    sentence: &'static str,
    /// What gives it away on a screen.
    invention: &'static str,
    /// Cites this; `None`: the first fact.
    evidence: Option<&'static str>,
}

pub(super) const ALL: [Lie; 3] = [
    Lie {
        what: "invented evidence",
        sentence: "The kernel had seen it coming for a while.",
        invention: "e999",
        evidence: Some("e999"),
    },
    Lie {
        what: "invented pod",
        sentence: "The pod checkout-5c9d7-x2p4q asked for too much memory.",
        invention: "checkout",
        evidence: None,
    },
    Lie {
        what: "invented number",
        sentence: "It had grown to 731 MiB before it was killed.",
        invention: "731 MiB",
        evidence: None,
    },
];

impl Lie {
    pub(super) fn is_on(&self, screen: &str) -> bool {
        screen.contains(self.invention) || screen.contains(self.sentence)
    }
}

/// Answers from the facts in the request; with nothing when there are none.
pub(super) fn among_honest_sentences() -> Script {
    Script::new(|request| {
        let facts = facts(request);
        let first = facts.first().map_or("", |(id, _)| id.as_str());
        let sentence = |text: &str, id: &str| json!({"text": text, "evidence": [id]});
        let honest = facts
            .iter()
            .take(HONEST)
            .map(|(id, text)| sentence(text, id));
        let lies = ALL
            .iter()
            .map(|lie| sentence(lie.sentence, lie.evidence.unwrap_or(first)));
        let sentences: Vec<Value> = honest.chain(lies).collect();
        json!({"sentences": sentences}).to_string()
    })
}

/// Id and text of the numbered facts that a request holds as JSON.
fn facts(request: &Request) -> Vec<(String, String)> {
    let text = request.user.as_str();
    let json = text.split_once('{').zip(text.rsplit_once('}'));
    let json = json.map(|((before, _), (until, _))| (before.len(), until.len() + 1));
    let told = json.and_then(|(start, end)| text.get(start..end));
    let told: Value = told
        .and_then(|told| serde_json::from_str(told).ok())
        .unwrap_or_default();
    let facts = told["facts"].as_array().map_or(&[][..], Vec::as_slice);
    let pair = |fact: &Value| {
        let word = |key: &str| fact[key].as_str().map(str::to_owned);
        Some((word("id")?, word("text")?))
    };
    facts.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_facts_between_the_markers() {
        let request = Request {
            model: String::new(),
            system: String::new(),
            user:
                "<<<BEGIN>>>\n{\"facts\":[{\"id\":\"e1\",\"text\":\"a {b}\"}]}\n<<<END>>>\nExplain."
                    .to_owned(),
            body: Value::Null,
            user_agent: String::new(),
        };
        assert_eq!(facts(&request), [("e1".to_owned(), "a {b}".to_owned())]);
    }
}
