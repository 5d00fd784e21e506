//! Text for a terminal: cleaned of what a terminal would obey, measured, wrapped. Must not know
//! what the text is about.

use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

/// Makes text harmless to a terminal: no control characters, no line breaks, no direction marks.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_direction_mark(*c))
        .collect()
}

/// Characters that reorder what a terminal shows, so that it reads as something else.
const fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Breaks cleaned text into lines of at most `columns`, between words where that is possible.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words(&clean(text)) {
        place(&word, columns.max(1), &mut lines);
    }
    lines
}

/// Units that stay on the line of their number.
const UNITS: [&str; 9] = ["B", "bytes", "KiB", "MiB", "GiB", "TiB", "ms", "s", "%"];

/// The words of a text; a number with its unit and a citation such as `[e1, e2]` are one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match words.last_mut() {
            Some(last) if belongs_to(last, word) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn belongs_to(last: &str, word: &str) -> bool {
    let unit = word.trim_end_matches(|c: char| c.is_ascii_punctuation() && c != '%');
    let number = last.ends_with(|c: char| c.is_ascii_digit());
    let in_citation = last.starts_with("[e") && !last.contains(']');
    in_citation || (number && UNITS.contains(&unit))
}

fn place(word: &str, columns: usize, lines: &mut Vec<String>) {
    if let Some(line) = lines.last_mut() {
        let gap = usize::from(!line.is_empty());
        if width(line) + gap + width(word) <= columns {
            line.push_str(if gap == 1 { " " } else { "" });
            line.push_str(word);
            return;
        }
        if !line.is_empty() {
            lines.push(String::new());
        }
    }
    break_long(word, columns, lines);
}

/// Puts a word on the last, empty line; a word longer than a line is broken anywhere.
fn break_long(word: &str, columns: usize, lines: &mut Vec<String>) {
    for c in word.chars() {
        let full = lines
            .last()
            .is_none_or(|line| !line.is_empty() && width(line) + c.width().unwrap_or(0) > columns);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push(c);
        }
    }
}

/// `1 thing`, `2 things`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Bytes as people read them: `812 B`, `48.0 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!(
        "{value:.1} {}",
        UNITS.get(unit).copied().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn removes_what_a_terminal_would_obey() {
        assert_eq!(clean("a\u{1b}[31mred\u{7}\nb\u{202e}c"), "a[31mred bc");
    }

    #[test]
    fn wraps_between_words_and_breaks_only_what_is_too_long() {
        let cases: [(&str, usize, &[&str]); 7] = [
            ("", 10, &[""]),
            ("one two three", 7, &["one two", "three"]),
            ("abcdefghij", 4, &["abcd", "efgh", "ij"]),
            ("x abcdefgh", 4, &["x", "abcd", "efgh"]),
            ("漢字漢字", 4, &["漢字", "漢字"]),
            ("limit 48.0 MiB, x", 12, &["limit", "48.0 MiB, x"]),
            ("so it is [e1, e2]", 15, &["so it is", "[e1, e2]"]),
        ];
        for (text, columns, lines) in cases {
            assert_eq!(wrap(text, columns), lines, "{text:?} in {columns}");
        }
    }

    #[test]
    fn writes_bytes_for_people() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (48 << 20, "48.0 MiB"),
            (u64::MAX, "16384.0 PiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked(text in ".{0,200}", columns in 2_usize..60) {
            for line in wrap(&text, columns) {
                prop_assert!(width(&line) <= columns, "{line:?} in {columns}");
            }
        }
    }
}
