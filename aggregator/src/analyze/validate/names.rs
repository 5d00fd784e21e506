//! Finds the first word of a sentence that may name something its facts do not. Must prefer dropping
//! an honest sentence over keeping an invented name.

use super::{
    chunk::{Chunk, quotes},
    cited::Cited,
    number_word::number_word,
    vocabulary as words,
};

/// What introduces a name.
const NAMING: &[&str] = &["called", "named", "labelled", "labeled", "dubbed", "titled"];
/// What glues names and values together: `comm[pid]`, `key=value`, `kind/name`.
const GLUE: &[char] = &['=', ':', '(', ')', '[', ']', '{', '}', ',', ';', '/'];
/// Slashes between ordinary words.
const WITH_SLASH: &[&str] = &["and/or", "i/o", "read/write", "either/or", "start/stop"];

/// A sentence, cut up, beside the facts it cites.
pub(crate) struct Names<'a> {
    pub(crate) sentence: &'a str,
    pub(crate) chunks: &'a [Chunk<'a>],
    pub(crate) cited: &'a Cited,
}

impl Names<'_> {
    /// The first name among `words` (chunks with their positions) that no cited fact holds.
    pub(crate) fn foreign<'w>(&self, words: &[(usize, Chunk<'w>)]) -> Option<&'w str> {
        words
            .iter()
            .find(|(at, chunk)| !self.allows(*at, *chunk))
            .map(|(_, chunk)| chunk.text)
    }

    /// Whether a quotation is one: a single quoted word or one with digits must be in the facts.
    pub(crate) fn has_foreign_quote(&self) -> bool {
        quotes(self.sentence).any(|quote| {
            let prose =
                quote.contains(' ') && quote.chars().all(|c| c.is_ascii_lowercase() || c == ' ');
            !quote.is_empty() && !prose && !self.cited.holds(&quote.to_lowercase())
        })
    }

    fn allows(&self, at: usize, chunk: Chunk<'_>) -> bool {
        let lower = chunk.text.to_lowercase();
        if self.cited.holds(&lower) || words::is_abbreviation(&lower) {
            return true;
        }
        if !chunk.text.is_ascii() {
            return false;
        }
        if let Some(base) = without_contraction(&lower) {
            return words::is_word(base) && !self.is_known_name(base);
        }
        if chunk.text.chars().all(|c| c.is_ascii_alphabetic()) {
            return self.allows_word(at, chunk, &lower);
        }
        if chunk
            .text
            .chars()
            .all(|c| c.is_ascii_alphabetic() || c == '-')
        {
            return self.allows_compound(chunk, &lower);
        }
        WITH_SLASH.contains(&lower.as_str()) || self.allows_glued(&lower)
    }

    fn allows_word(&self, at: usize, chunk: Chunk<'_>, lower: &str) -> bool {
        if self.is_known_name(lower) || words::is_ratio(lower) {
            return false;
        }
        if !is_spelled_as_word(chunk, at) {
            return words::is_term(chunk.text);
        }
        words::is_term(chunk.text) || (words::is_word(lower) && !self.stands_as_name(at, lower))
    }

    /// A word that is known to name something here or elsewhere, and that the cited facts do not hold.
    fn is_known_name(&self, lower: &str) -> bool {
        words::is_software(lower) || self.cited.is_name_of_other_fact(lower)
    }

    /// `pod orders`, `orders pod`, `called orders`: an ordinary word in the place of a name.
    fn stands_as_name(&self, at: usize, lower: &str) -> bool {
        let neighbour = |at: Option<usize>| at.and_then(|at| self.chunks.get(at));
        let this_closes = neighbour(Some(at)).is_some_and(|chunk| chunk.closes);
        if let Some(before) = neighbour(at.checked_sub(1)) {
            let before_lower = before.text.to_lowercase();
            let is_noun = words::is_entity_noun(&before_lower);
            if is_noun && (!before.closes || this_closes) && !words::follows_noun(lower) {
                return true;
            }
            let labels = words::is_label_noun(&before_lower) && !before.closes;
            if labels && !words::follows_label(lower) {
                return true;
            }
            if NAMING.contains(&before_lower.as_str()) && !words::is_function_word(lower) {
                return true;
            }
        }
        let next = neighbour(at.checked_add(1)).filter(|_| !this_closes);
        let next_lower = next
            .map(|next| next.text.to_lowercase())
            .unwrap_or_default();
        if self.is_bare_object(at, &next_lower) && !words::follows_by(lower) {
            return true;
        }
        if self.is_bare_subject(at, &next_lower) && !words::stands_alone(lower) {
            return true;
        }
        words::is_entity_noun(&next_lower) && !words::precedes_noun(lower)
    }

    /// `Orders was killed`, `because orders exceeded it`: English gives a common noun an article there.
    fn is_bare_subject(&self, at: usize, next: &str) -> bool {
        let opens = self.chunks.get(at).is_some_and(|chunk| chunk.opens);
        let before = at.checked_sub(1).and_then(|at| self.chunks.get(at));
        let starts_clause =
            opens || before.is_some_and(|before| words::starts_clause(&before.text.to_lowercase()));
        starts_clause && words::is_finite_verb(next)
    }

    /// `killed by orders`: the end of what `by` says, without an article.
    fn is_bare_object(&self, at: usize, next: &str) -> bool {
        let before = at.checked_sub(1).and_then(|at| self.chunks.get(at));
        let after_by = before.is_some_and(|before| before.text.eq_ignore_ascii_case("by"));
        let closes = self.chunks.get(at).is_some_and(|chunk| chunk.closes);
        after_by && (closes || next.is_empty() || words::is_function_word(next))
    }

    fn allows_compound(&self, chunk: Chunk<'_>, lower: &str) -> bool {
        let parts: Vec<&str> = lower.split('-').collect();
        let spelled: Vec<&str> = chunk.text.split('-').collect();
        let each = parts
            .iter()
            .zip(&spelled)
            .enumerate()
            .all(|(at, (lower, spelled))| {
                let capital = at == 0 && chunk.opens;
                let lower_case = spelled
                    .chars()
                    .skip(usize::from(capital))
                    .all(|c| c.is_ascii_lowercase());
                let ordinary = lower_case
                    && words::is_word(lower)
                    && !words::is_ratio(lower)
                    && number_word(&[lower]).is_none();
                self.cited.holds(lower)
                    || words::is_term(spelled)
                    || (ordinary && !self.is_known_name(lower))
            });
        each && words::is_compound(&parts)
    }

    /// `python[7]`, `pid=7`, `pod/web-1`: each piece must be in the facts or be the kind of thing.
    fn allows_glued(&self, lower: &str) -> bool {
        let pieces: Vec<&str> = lower
            .split(GLUE)
            .filter(|piece| !piece.is_empty())
            .collect();
        let kind_and_name = pieces.len() == 2
            && pieces
                .first()
                .is_some_and(|kind| words::is_entity_noun(kind));
        pieces.len() > 1
            && pieces.iter().enumerate().all(|(at, piece)| {
                self.cited.holds(piece) || self.cited.states(piece) || (at == 0 && kind_and_name)
            })
    }
}

/// Lower case, or with a capital where a sentence starts. A sentence that starts with a lower-case
/// word starts with a name.
fn is_spelled_as_word(chunk: Chunk<'_>, at: usize) -> bool {
    let mut letters = chunk.text.chars();
    let first_is_capital = letters.next().is_some_and(|c| c.is_ascii_uppercase());
    let rest_is_lower = letters.all(|c| c.is_ascii_lowercase());
    rest_is_lower
        && if first_is_capital {
            chunk.opens
        } else {
            at > 0
        }
}

/// `didn't` is `did`, `it's` is `it`.
fn without_contraction(lower: &str) -> Option<&str> {
    match lower {
        "can't" => return Some("can"),
        "won't" => return Some("will"),
        _ => {}
    }
    ["n't", "'re", "'ve", "'ll", "'d", "'m"]
        .iter()
        .find_map(|ending| lower.strip_suffix(ending))
}
