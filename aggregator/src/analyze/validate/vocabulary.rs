//! Tells ordinary words from names. Must stay closed: a word that is not listed here, nor formed
//! from one that is, counts as a name.

use std::sync::LazyLock;

mod list;

use list::{
    ABBREVIATIONS, AUXILIARIES, BARE_SUBJECTS, BY_OBJECTS, CLAUSE_STARTS, COMPOUND_HEADS,
    COMPOUND_TAILS, COMPOUNDS, DOMAIN_WORDS, ENTITY_NOUNS, FOLLOWERS, FUNCTION_WORDS, JOINERS,
    LABEL_FOLLOWERS, LABEL_NOUNS, MODIFIERS, RATIOS, SOFTWARE, TERMS, VERBS,
};

/// Common English, sorted; see `vocabulary/words.NOTICE`.
static ENGLISH: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("vocabulary/words.txt").lines().collect());

/// Shortest stem that an ending may be taken from; shorter ones turn names into words.
const MIN_STEM: usize = 3;
const PREFIXES: &[&str] = &["un", "re", "non", "mis", "over", "under", "pre", "sub"];
/// Shortest word that a prefix may be taken from.
const MIN_PREFIXED: usize = 4;

/// A word of plain English or of the domain, lower case.
pub(crate) fn is_word(word: &str) -> bool {
    is_listed(word) || stems(word).any(|stem| is_listed(&stem)) || is_prefixed(word)
}

/// Introduces a name, but is no kind of thing that Inquest knows: `file`, `function`.
pub(crate) fn is_label_noun(word: &str) -> bool {
    LABEL_NOUNS.contains(word)
}

/// Follows a label noun without being a name: `file system`.
pub(crate) fn follows_label(word: &str) -> bool {
    LABEL_FOLLOWERS.contains(word) || follows_noun(word)
}

/// Follows `by` without an article and without being a name: `by accident`, `by raising`.
pub(crate) fn follows_by(word: &str) -> bool {
    BY_OBJECTS.contains(word) || stands_alone(word)
}

/// Stands for a kind of thing that has names: `pod`, `processes`.
pub(crate) fn is_entity_noun(word: &str) -> bool {
    let singular = word.strip_suffix('s').unwrap_or(word);
    ENTITY_NOUNS.contains(word) || ENTITY_NOUNS.contains(singular)
}

/// A term that English writes with capitals anywhere in a sentence: `OOM`, `Kubernetes`.
pub(crate) fn is_term(word: &str) -> bool {
    TERMS.contains(word)
}

/// `e.g`, `i.e`: dotted, and no name.
pub(crate) fn is_abbreviation(word: &str) -> bool {
    ABBREVIATIONS.contains(word)
}

/// Well-known software, whatever else the word means.
pub(crate) fn is_software(word: &str) -> bool {
    SOFTWARE.contains(word)
}

/// States a figure or a time without a number: `half`, `doubled`, `gigabytes`, `yesterday`.
pub(crate) fn is_ratio(word: &str) -> bool {
    RATIOS.contains(word)
}

/// Stands after `called` or an entity noun without being a name.
pub(crate) fn is_function_word(word: &str) -> bool {
    FUNCTION_WORDS.contains(word)
}

/// Follows an entity noun without naming the entity: `process memory`, `pod was`.
pub(crate) fn follows_noun(word: &str) -> bool {
    FOLLOWERS.contains(word) || is_neutral(word)
}

/// Precedes an entity noun without naming the entity: `parent process`, `killed pod`.
pub(crate) fn precedes_noun(word: &str) -> bool {
    MODIFIERS.contains(word) || is_neutral(word)
}

fn is_neutral(word: &str) -> bool {
    is_function_word(word)
        || is_entity_noun(word)
        || is_verb(word)
        || is_past_tense(word)
        || (word.ends_with("ly") && is_word(word))
}

/// `accessed` of `access`, but neither `seed` nor `speed`.
fn is_past_tense(word: &str) -> bool {
    word.ends_with("ed") && stems(word).any(|stem| is_word(&stem))
}

/// Says what its subject does, so that the word before it is that subject: `was`, `exceeded`.
pub(crate) fn is_finite_verb(word: &str) -> bool {
    AUXILIARIES.contains(word) || is_past_tense(word)
}

/// Starts a clause: the next word is its subject, or belongs to it.
pub(crate) fn starts_clause(word: &str) -> bool {
    CLAUSE_STARTS.contains(word)
}

/// May be a subject without an article and not be a name: `memory`, `nothing`, `raising`.
pub(crate) fn stands_alone(word: &str) -> bool {
    BARE_SUBJECTS.contains(word)
        || is_function_word(word)
        || is_entity_noun(word)
        || is_past_tense(word)
        || word.ends_with("ing")
        || word.ends_with("ly")
}

fn is_verb(word: &str) -> bool {
    VERBS.contains(word) || stems(word).any(|stem| VERBS.contains(stem.as_str()))
}

/// A hyphenated word that English forms freely: `out-of-memory`, `node-wide`, `long-running`. Two
/// nouns with a hyphen (`payment-worker`) are how pods are named, and do not pass.
pub(crate) fn is_compound(parts: &[&str]) -> bool {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return false;
    };
    let middle = parts.get(1..parts.len() - 1).unwrap_or_default();
    COMPOUND_HEADS.contains(first)
        || COMPOUND_TAILS.contains(last)
        || middle.iter().any(|part| JOINERS.contains(part))
        || COMPOUNDS.contains(parts.join("-").as_str())
}

fn is_listed(word: &str) -> bool {
    word == "a"
        || word == "i"
        || ENGLISH.binary_search(&word).is_ok()
        || DOMAIN_WORDS.contains(word)
}

fn is_prefixed(word: &str) -> bool {
    PREFIXES
        .iter()
        .filter_map(|prefix| word.strip_prefix(prefix))
        .any(|rest| {
            rest.len() >= MIN_PREFIXED
                && (is_listed(rest) || stems(rest).any(|stem| is_listed(&stem)))
        })
}

/// What a word may be formed from: `exceeding` from `exceed`, `killed` from `kill`, `tries` from `try`.
fn stems(word: &str) -> impl Iterator<Item = String> {
    const ENDINGS: &[(&str, &[&str])] = &[
        ("s", &[""]),
        ("es", &[""]),
        ("ies", &["y"]),
        ("ed", &["", "e"]),
        ("ied", &["y"]),
        ("ing", &["", "e"]),
        ("ings", &["", "e"]),
        ("ly", &["", "le"]),
        ("ily", &["y"]),
        ("er", &["", "e"]),
        ("ers", &["", "e"]),
        ("est", &["", "e"]),
        ("ness", &[""]),
        ("able", &["", "e"]),
        ("ment", &[""]),
        ("ments", &[""]),
        ("ation", &["", "e"]),
        ("ations", &["", "e"]),
        ("ion", &["", "e"]),
        ("ions", &["", "e"]),
    ];
    ENDINGS
        .iter()
        .filter_map(move |(ending, restored)| Some((word.strip_suffix(ending)?, *restored)))
        .filter(|(stem, _)| stem.len() >= MIN_STEM)
        .flat_map(|(stem, restored)| {
            let plain = restored.iter().map(move |tail| format!("{stem}{tail}"));
            plain.chain(undoubled(stem))
        })
}

/// `stopp` of `stopped` is `stop`.
fn undoubled(stem: &str) -> Option<String> {
    let mut chars = stem.chars();
    let (last, before) = (chars.next_back()?, chars.clone().next_back()?);
    (last == before && chars.as_str().len() >= MIN_STEM).then(|| chars.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_list_is_sorted_and_plain() {
        assert!(ENGLISH.is_sorted());
        assert!(
            ENGLISH
                .iter()
                .all(|word| word.chars().all(|c| c.is_ascii_lowercase()))
        );
    }

    #[test]
    fn knows_words_and_their_forms() {
        let words = "the process exceeded its memory limit because allocations were never freed so kernel reclaiming \
                     failed and stopped repeatedly killing cgroups containers oom dereferencing restarted unrelated \
                     misconfigured reproducible tries tried";
        for word in words.split_whitespace() {
            assert!(is_word(word), "{word}");
        }
    }

    #[test]
    fn takes_anything_else_for_a_name() {
        let names = "redis kafka nginx postgres etcd systemd httpd mysqld jenkins istio argocd grafana qwzx dockerd \
                     kubelet containerd gunicorn uwsgi myapp webapp";
        for name in names.split_whitespace() {
            assert!(!is_word(name) || is_software(name), "{name}");
        }
    }

    #[test]
    fn tells_compounds_from_hyphenated_names() {
        for compound in [
            "out-of-memory",
            "node-wide",
            "long-running",
            "memory-bound",
            "non-zero",
            "read-only",
        ] {
            assert!(
                is_compound(&compound.split('-').collect::<Vec<_>>()),
                "{compound}"
            );
        }
        for name in [
            "payment-worker",
            "order-service",
            "web-front",
            "checkout-api",
            "user-store",
        ] {
            assert!(!is_compound(&name.split('-').collect::<Vec<_>>()), "{name}");
        }
    }
}
