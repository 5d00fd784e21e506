//! Checks a model's sentences against the facts they cite; what they do not cover is dropped and
//! counted. Must never repair a sentence: it is kept as it was checked, or not at all.
//!
//! A kept sentence cites facts of its incident, and each figure and each name in it stands in a fact
//! that it cites. What this cannot tell is whether the sentence is true: `the limit was not reached`
//! holds no foreign word. So the answer stays advice, marked as the model's.

use std::collections::HashSet;

use inquest_api::incident::Sentence;

use super::{facts::Facts, reply::Claim};

mod chunk;
mod cited;
mod figure;
mod moment;
mod names;
mod number_word;
mod quantity;
mod text;
mod unit;
mod vocabulary;

use cited::Cited;
use names::Names;
pub(crate) use text::is_invisible;

/// Most sentences kept of one answer, as the prompt asks for.
pub(crate) const MAX_SENTENCES: usize = 8;

/// Why a sentence was dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum DropReason {
    /// It cites nothing.
    NoEvidence,
    /// It cites a fact that the incident does not have.
    UnknownEvidence,
    /// It holds markup, a link, control characters, or is empty or too long.
    NotPlainText,
    /// It states a figure that the cited facts do not.
    UnknownFigure,
    /// It names something that the cited facts do not.
    UnknownName,
    /// The answer has more sentences than were asked for.
    TooMany,
}

impl DropReason {
    /// The reason as metrics spell it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoEvidence => "no_evidence",
            Self::UnknownEvidence => "unknown_evidence",
            Self::NotPlainText => "not_plain_text",
            Self::UnknownFigure => "unknown_figure",
            Self::UnknownName => "unknown_name",
            Self::TooMany => "too_many",
        }
    }
}

/// An answer after the check.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Checked {
    pub(crate) sentences: Vec<Sentence>,
    pub(crate) dropped: Vec<DropReason>,
}

/// Checks every claim of an answer.
pub(crate) fn check(claims: &[Claim], facts: &Facts) -> Checked {
    let mut checked = Checked::default();
    for claim in claims {
        match check_claim(claim, facts) {
            Ok(_) if checked.sentences.len() == MAX_SENTENCES => {
                checked.dropped.push(DropReason::TooMany);
            }
            Ok(sentence) => checked.sentences.push(sentence),
            Err(reason) => checked.dropped.push(reason),
        }
    }
    checked
}

/// Checks one claim.
pub(crate) fn check_claim(claim: &Claim, facts: &Facts) -> Result<Sentence, DropReason> {
    let evidence = evidence(claim, facts)?;
    let text = text::plain(&claim.text).ok_or(DropReason::NotPlainText)?;
    let lines: Vec<&str> = evidence.iter().filter_map(|id| facts.line(id)).collect();
    let cited = Cited::new(&lines, facts.names().clone());
    if !cited.holds_each_foreign_character(&text) {
        return Err(DropReason::NotPlainText);
    }
    let chunks = chunk::chunks(&text);
    let scan = figure::scan(&chunks);
    if !scan
        .figures
        .iter()
        .all(|figure| cited.states_figure(figure))
    {
        return Err(DropReason::UnknownFigure);
    }
    let names = Names {
        sentence: &text,
        chunks: &chunks,
        cited: &cited,
    };
    if names.has_foreign_quote() || names.foreign(&scan.words).is_some() {
        return Err(DropReason::UnknownName);
    }
    Ok(Sentence { text, evidence })
}

/// The cited ids, each once, all of them ids of this incident.
fn evidence(claim: &Claim, facts: &Facts) -> Result<Vec<String>, DropReason> {
    let mut seen = HashSet::new();
    let ids: Vec<&str> = claim.evidence.iter().map(|id| id.trim()).collect();
    if ids.is_empty() {
        return Err(DropReason::NoEvidence);
    }
    if ids.iter().any(|id| facts.line(id).is_none()) {
        return Err(DropReason::UnknownEvidence);
    }
    let once = ids.into_iter().filter(|id| seen.insert(*id));
    Ok(once.map(str::to_owned).collect())
}

#[cfg(test)]
pub(super) mod tests;
