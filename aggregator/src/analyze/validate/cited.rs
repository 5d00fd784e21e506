//! The facts that one sentence cites, ready to be searched. Must hold no other fact's words or figures.

use std::collections::HashSet;

use super::{
    figure::{Figure, figures_of_fact},
    text::folded,
};

/// Shortest start of a container id that names it, as container tools print it.
const MIN_ID_PREFIX: usize = 8;

/// In `µs`.
const MICRO: char = '\u{b5}';

/// What the cited facts say.
pub(crate) struct Cited {
    /// Lower case, one fact a line.
    text: String,
    figures: Vec<Figure>,
    /// Names of the incident, those of facts that are not cited among them; lower case.
    names: HashSet<String>,
}

impl Cited {
    /// Reads the cited facts; `names` are all names of the incident.
    pub(crate) fn new(facts: &[&str], names: HashSet<String>) -> Self {
        let lines: Vec<String> = facts.iter().map(|fact| folded(fact)).collect();
        Self {
            figures: lines
                .iter()
                .flat_map(|line| figures_of_fact(line))
                .collect(),
            text: lines.join("\n").to_lowercase(),
            names,
        }
    }

    /// Whether a fact holds `token`, lower case, whole: not as a part of a longer word.
    pub(crate) fn holds(&self, token: &str) -> bool {
        let is_id = token.len() >= MIN_ID_PREFIX
            && token.chars().all(|c| c.is_ascii_hexdigit())
            && token.chars().any(|c| c.is_ascii_digit());
        self.text.match_indices(token).any(|(start, _)| {
            let (before, rest) = self.text.split_at(start);
            let after = rest.strip_prefix(token).unwrap_or_default();
            let starts = !token.starts_with(char::is_alphanumeric)
                || !before.ends_with(char::is_alphanumeric);
            let ends = is_id
                || !token.ends_with(char::is_alphanumeric)
                || !after.starts_with(char::is_alphanumeric);
            !token.is_empty() && starts && ends
        })
    }

    /// Whether each character beyond ASCII is one of the facts': no symbol, emoji or look-alike letter.
    pub(crate) fn holds_each_foreign_character(&self, text: &str) -> bool {
        let foreign = |c: &char| !c.is_ascii() && *c != MICRO;
        text.chars()
            .filter(foreign)
            .flat_map(char::to_lowercase)
            .all(|c| self.text.contains(c))
    }

    /// Whether a fact states `figure`.
    pub(crate) fn states_figure(&self, figure: &Figure) -> bool {
        self.figures.iter().any(|fact| figure.states(fact))
    }

    /// Whether `text` is a figure or several, all of which the facts state.
    pub(crate) fn states(&self, text: &str) -> bool {
        let figures = figures_of_fact(text);
        let only_figures = text.starts_with(|c: char| c.is_ascii_digit()) && !figures.is_empty();
        only_figures && figures.iter().all(|figure| self.states_figure(figure))
    }

    /// Whether something in the incident has this name; to be asked of words no cited fact holds.
    pub(crate) fn is_name_of_other_fact(&self, word: &str) -> bool {
        self.names.contains(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_whole_tokens_only() {
        let cited = Cited::new(
            &["Process python[7] in /kubepods/pod1/web-7d4b9c of 3f9a0c1d2e3f4a5b, 32.5 MiB"],
            HashSet::new(),
        );
        for token in [
            "python",
            "python[7]",
            "/kubepods/pod1",
            "web-7d4b9c",
            "web",
            "3f9a0c1d",
            "mib",
        ] {
            assert!(cited.holds(token), "{token}");
        }
        for token in [
            "pytho", "ython", "web-7d4b", "3f9a0c1", "f9a0c1d2", "pod", "redis", "",
        ] {
            assert!(!cited.holds(token), "{token}");
        }
    }
}
