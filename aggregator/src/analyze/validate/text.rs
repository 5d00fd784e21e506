//! Brings text to the one spelling in which a sentence and its facts are compared. Must not let
//! through what a reader would see differently from what was checked.

/// Longest sentence kept, in characters; a longer one is an essay, not a statement about facts.
pub(crate) const MAX_SENTENCE_CHARS: usize = 400;

/// What plain prose about facts does not hold: links, HTML, Markdown, tables.
const MARKUP: &[&str] = &[
    "://", "www.", "mailto:", "](", "**", "__", "~~", "```", "|", "</", "<!", "&#", "\\u", "\\x",
    "$(",
];
/// What a table cell, a list or a heading starts with; a spreadsheet would run some of them.
const NOT_AT_START: &[char] = &['#', '=', '+', '@', '-', '*', '>', '<'];

/// Reads a sentence of a model as plain prose on one line; `None` when it is not that.
pub(crate) fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_SENTENCE_CHARS {
        return None;
    }
    if text.chars().any(is_invisible) {
        return None;
    }
    let folded = fold(text);
    let marked_up = MARKUP.iter().any(|mark| folded.contains(mark))
        || folded.starts_with(NOT_AT_START)
        || has_tag_or_entity(&folded);
    (!marked_up && folded.chars().count() <= MAX_SENTENCE_CHARS).then_some(folded)
}

/// Reads text of the cluster: nothing is refused, what cannot be seen is left out.
pub(crate) fn folded(text: &str) -> String {
    let visible: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_invisible(*c))
        .collect();
    fold(&visible)
}

/// Control, zero-width, bidi, combining and tag characters: they change what is read, not what is seen.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffd}' | '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

/// Writes typographic and full-width forms as ASCII, and runs of blanks as one.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' => push_blank(&mut folded),
            // A narrow or no-break blank between digits groups them; anywhere else it is a blank.
            '\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}' => {
                let grouped = folded.ends_with(|c: char| c.is_ascii_digit())
                    && chars.peek().is_some_and(char::is_ascii_digit);
                if grouped {
                    folded.push(',');
                } else {
                    push_blank(&mut folded);
                }
            }
            '\u{2014}' | '\u{2015}' => push_spaced(&mut folded, "-"),
            '\u{2026}' => folded.push_str("..."),
            '\u{2192}' => push_spaced(&mut folded, "->"),
            '\u{2264}' => folded.push_str("<="),
            '\u{2265}' => folded.push_str(">="),
            other => folded.push(ascii(other)),
        }
    }
    folded
}

fn push_blank(text: &mut String) {
    if !text.ends_with(' ') {
        text.push(' ');
    }
}

fn push_spaced(text: &mut String, sign: &str) {
    push_blank(text);
    text.push_str(sign);
    text.push(' ');
}

fn ascii(c: char) -> char {
    match c {
        '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{2b9}' | '\u{2bc}' => '\'',
        '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{ab}' | '\u{bb}' => '"',
        '\u{2010}'..='\u{2013}' | '\u{2212}' => '-',
        '\u{d7}' => 'x',
        '\u{2248}' => '~',
        '\u{3bc}' => '\u{b5}',
        '\u{ff01}'..='\u{ff5e}' => {
            char::from_u32(u32::from(c) - 0xff01 + u32::from('!')).unwrap_or(c)
        }
        other => other,
    }
}

/// `<word` opens a tag and `&word;` is an entity; `a < b` and `a & b` are neither.
fn has_tag_or_entity(text: &str) -> bool {
    let tag = text
        .split('<')
        .skip(1)
        .any(|after| after.starts_with(|c: char| c.is_ascii_alphabetic()));
    let entity = text.split('&').skip(1).any(|after| {
        let name = after.split(|c: char| !c.is_ascii_alphanumeric()).next();
        name.is_some_and(|name| {
            !name.is_empty() && after.get(name.len()..name.len() + 1) == Some(";")
        })
    });
    tag || entity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_plain_prose() {
        let long = "word ".repeat(100);
        let cases = [
            "",
            "   ",
            &long,
            "See https://evil.example/x",
            "Go to www.evil.example",
            "a\nb",
            "a\tb",
            "\u{1b}[31mred\u{1b}[0m",
            "red\u{7}",
            "ab\u{202e}cd",
            "zero\u{200b}width",
            "bom\u{feff}",
            "<b>bold</b>",
            "a <script",
            "**bold**",
            "[x](y)",
            "&lt;b&gt;",
            "&#60;",
            "# Title",
            "- item",
            "=1+1",
            "@channel look",
            "<!channel> look",
            "| a | b |",
            "e\u{301}",
            "\u{e0041}tag",
        ];
        for text in cases {
            assert_eq!(plain(text), None, "{text:?}");
        }
    }

    #[test]
    fn writes_typographic_forms_as_ascii() {
        let cases = [
            ("  the \u{201c}worker\u{201d} ", "the \"worker\""),
            ("its limit \u{2014} 32\u{a0}MiB", "its limit - 32 MiB"),
            ("33\u{202f}554\u{202f}432 bytes", "33,554,432 bytes"),
            ("\u{ff13}\u{ff12} MiB", "32 MiB"),
            ("a < b & c > d", "a < b & c > d"),
            ("exit \u{2212}17 \u{2248} 3\u{2013}5", "exit -17 ~ 3-5"),
        ];
        for (text, folded) in cases {
            assert_eq!(plain(text).as_deref(), Some(folded), "{text:?}");
        }
    }
}
