//! Lines of bounded length. Must neither fail on a longer one nor hold it.

use std::io::{self, BufRead, Read as _};

/// Longest line kept: a signal with every part at its limit is far below it.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// One line without its newline.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    /// Skipped up to its newline.
    TooLong,
}

/// The lines of a reader; ends after an error.
pub(super) struct Lines<R> {
    reader: R,
    failed: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self {
            reader,
            failed: false,
        }
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let limited = &mut (&mut self.reader).take(MAX_LINE_BYTES + 1);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.pop_if(|last| *last == b'\n').is_none() && line.len() as u64 > MAX_LINE_BYTES {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Whole(line)))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let line = self.read();
        self.failed = line.is_err();
        line.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_a_line_that_is_too_long_and_goes_on() {
        let long = "x".repeat(MAX_LINE_BYTES as usize + 1);
        let exact = "y".repeat(MAX_LINE_BYTES as usize);
        let text = format!("a\n{long}\n{exact}\n\nb");
        let lines: Vec<Line> = Lines::new(text.as_bytes()).map(Result::unwrap).collect();
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        let expected = [
            whole("a"),
            Line::TooLong,
            whole(&exact),
            whole(""),
            whole("b"),
        ];
        assert!(lines == expected, "{} lines", lines.len());
    }
}
