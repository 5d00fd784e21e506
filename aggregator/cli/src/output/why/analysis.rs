//! What a model wrote, below the engine's own words and marked as the model's. Must not wait for
//! it, and must say when there is nothing.

use inquest_api::incident::{Analysis, AnalysisState};

use super::cited;
use super::section::{Item, Section};

/// Title of the section; the engine's own sections come before it.
const TITLE: &str = "By a model";

pub(super) fn section(analysis: Option<&Analysis>) -> Section {
    let Some(analysis) = analysis else {
        let off = "off: no model is configured, and nothing above needs one";
        return Section::new(TITLE, [Item::plain(off).faint()]);
    };
    match analysis.state {
        AnalysisState::Pending => line(&format!(
            "pending: {} was asked and has not answered; this report does not wait for it",
            model(analysis)
        )),
        AnalysisState::Failed => line(&format!(
            "failed: {} gave no usable answer: {}",
            model(analysis),
            analysis.error.as_deref().unwrap_or("no reason is known"),
        )),
        AnalysisState::Done => answer(analysis),
    }
}

fn line(text: &str) -> Section {
    Section::new(TITLE, [Item::plain(text).faint()])
}

/// Whose words they are, the words, and how many did not hold.
fn answer(analysis: &Analysis) -> Section {
    let mut items = vec![
        Item::plain(&format!(
            "advice written by {}, not found by the engine; checked against the evidence above",
            model(analysis)
        ))
        .faint(),
    ];
    items.extend(dropped(analysis.dropped_sentences));
    let always = items.len();
    let sentences = analysis.sentences.iter();
    items.extend(sentences.map(|sentence| Item::plain(&cited(&sentence.text, &sentence.evidence))));
    Section::new(TITLE, items).keeps(always + 1)
}

fn dropped(count: u64) -> Option<Item> {
    let text = match count {
        0 => return None,
        1 => "1 sentence of the model's answer was dropped: no evidence for it".to_owned(),
        _ => format!("{count} sentences of the model's answer were dropped: no evidence for them"),
    };
    Some(Item::plain(&text).faint())
}

fn model(analysis: &Analysis) -> String {
    format!("{} ({})", analysis.model, analysis.provider)
}
