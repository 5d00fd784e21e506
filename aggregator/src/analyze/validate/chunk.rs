//! Cuts folded text into chunks between blanks, without the punctuation around them. Must not
//! decide what a chunk means.

/// One run between blanks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunk<'a> {
    /// Without surrounding punctuation and without a possessive ending; never empty.
    pub(crate) text: &'a str,
    /// The first of a sentence, where English writes a capital.
    pub(crate) opens: bool,
    /// Punctuation follows, so that the next chunk does not belong to it.
    pub(crate) closes: bool,
}

const QUOTES: &[char] = &['"', '\'', '`'];
const LEADING: &[char] = &['(', '"', '\'', '`', '[', '{', '~', '<', '>', '='];
const PUNCTUATION: &[char] = &[',', '.', ';', ':', '!', '?', ')', ']', '}', '>'];
/// A full stop after these does not end a sentence.
const ABBREVIATIONS: &[&str] = &["e.g.", "i.e.", "etc.", "vs.", "approx.", "no."];

/// Cuts `text`, which is folded.
pub(crate) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut found = Vec::new();
    let mut opens = true;
    for run in text.split(' ') {
        let core = strip(run);
        let end = run.trim_end_matches(QUOTES);
        if !core.is_empty() {
            found.push(Chunk {
                text: core,
                opens,
                closes: end.ends_with(PUNCTUATION),
            });
            let sentence_ends = end.ends_with(['.', '!', '?', ':']);
            opens = sentence_ends && !ABBREVIATIONS.contains(&end.to_ascii_lowercase().as_str());
        }
    }
    found
}

/// Takes off what surrounds a word, but not the brackets of `python[7]` or `kill(2)`.
fn strip(run: &str) -> &str {
    let mut core = run.trim_start_matches(LEADING);
    loop {
        let shorter = strip_end(core);
        if shorter.len() == core.len() {
            break;
        }
        core = shorter;
    }
    if core.chars().any(char::is_alphanumeric) {
        core
    } else {
        ""
    }
}

fn strip_end(core: &str) -> &str {
    for ending in ["'s", "(s)", "..."] {
        if let Some(rest) = core.strip_suffix(ending) {
            return rest;
        }
    }
    let Some(last) = core.chars().next_back() else {
        return core;
    };
    let opening = match last {
        ')' => Some('('),
        ']' => Some('['),
        '}' => Some('{'),
        _ => None,
    };
    let belongs = opening.is_some_and(|opening| core.contains(opening));
    let strips = QUOTES.contains(&last) || PUNCTUATION.contains(&last);
    match core.strip_suffix(last) {
        Some(rest) if strips && !belongs => rest,
        _ => core,
    }
}

/// The text between backticks or double quotes: `quotes("a \"b c\" d")` gives `b c`.
pub(crate) fn quotes(text: &str) -> impl Iterator<Item = &str> {
    let inside = |mark| text.split(mark).skip(1).step_by(2);
    inside('`').chain(inside('"')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_off_punctuation_but_not_what_belongs_to_a_name() {
        let cases = [
            ("Killed.", "Killed"),
            ("(python[7]),", "python[7]"),
            ("kill(2).", "kill(2)"),
            ("`/kubepods/x`", "/kubepods/x"),
            ("the-pod's", "the-pod"),
            ("container(s)", "container"),
            ("32%,", "32%"),
            ("~32", "32"),
            ("-17", "-17"),
        ];
        for (run, core) in cases {
            assert_eq!(chunks(run)[0].text, core, "{run}");
        }
        assert_eq!(chunks("- , ... <="), []);
    }

    #[test]
    fn knows_where_sentences_start() {
        let opens: Vec<_> = chunks("It died. Cause: memory, e.g. a leak")
            .into_iter()
            .filter(|chunk| chunk.opens)
            .map(|chunk| chunk.text)
            .collect();
        assert_eq!(opens, ["It", "Cause", "memory"]);
    }

    #[test]
    fn finds_quoted_text() {
        let found: Vec<_> = quotes("a `b c` d \"e\" `open").collect();
        assert_eq!(found, ["b c", "open", "e"]);
    }
}
