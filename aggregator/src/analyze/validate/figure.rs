//! Finds the figures of a text: quantities with their units and roles, dates and times. Must take
//! digits inside a name (`web-7d4b9c`, `10.0.0.1`) for part of the name, never for a figure.

use super::{
    chunk::{Chunk, chunks},
    moment::{Moment, moment},
    number_word::number_word,
    quantity::{Quantity, Role, leading, split_while, suffix},
    unit::{Unit, unit},
};

/// One figure of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Figure {
    Quantity(Quantity),
    Moment(Moment),
}

/// The figures of a text and the words that are not part of one.
#[derive(Debug, Default)]
pub(crate) struct Scan<'a> {
    pub(crate) figures: Vec<Figure>,
    /// Chunks that hold no figure, with their positions.
    pub(crate) words: Vec<(usize, Chunk<'a>)>,
}

impl Figure {
    /// `self`, from a sentence, says no more than `fact` does.
    pub(crate) fn states(&self, fact: &Self) -> bool {
        match (self, fact) {
            (Self::Quantity(said), Self::Quantity(known)) => said.states(known),
            (Self::Moment(said), Self::Moment(known)) => said.states(known),
            _ => false,
        }
    }
}

/// Words between two numbers that share the unit of the second.
const SHARING: &[&str] = &[
    "of", "and", "to", "or", "out", "from", "versus", "vs", "the", "its", "-", "/",
];
/// After these, `second` is a time and not an ordinal.
const AFTER_A_SECOND: &[&str] = &[
    "later", "after", "before", "earlier", "of", "and", "or", "to", "the", "when", "while",
    "until", "in", "at", "apart", "ago", "from",
];
/// A word ending in `s` after a number that is no thing counted.
const NOT_COUNTED: &[&str] = &[
    "was", "is", "has", "as", "its", "this", "does", "kills", "exceeds", "exits",
];

/// Finds the figures of `chunks`.
pub(crate) fn scan<'a>(chunks: &[Chunk<'a>]) -> Scan<'a> {
    let lower: Vec<String> = chunks
        .iter()
        .map(|chunk| chunk.text.to_lowercase())
        .collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    let mut scanner = Scanner {
        chunks,
        words: &words,
        found: Vec::new(),
        rest: Vec::new(),
    };
    let mut at = 0;
    while at < chunks.len() {
        at = scanner.step(at);
    }
    share_units(&mut scanner.found, chunks, &words);
    Scan {
        figures: scanner
            .found
            .into_iter()
            .map(|found| found.figure)
            .collect(),
        words: scanner.rest,
    }
}

/// Finds the figures of a fact, also those glued to a name as in `python[7]` and `max=4096`.
pub(crate) fn figures_of_fact(text: &str) -> Vec<Figure> {
    let loose: Vec<String> = text.split(' ').map(loosen).collect();
    scan(&chunks(&loose.join(" "))).figures
}

/// Sets the numbers of `python[7]`, `pid:7`, `max=4096` free; leaves a time of day whole.
fn loosen(run: &str) -> String {
    let is_moment = chunks(run)
        .first()
        .is_some_and(|chunk| moment(chunk.text).is_some());
    if is_moment {
        return run.to_owned();
    }
    run.replace('[', " pid ")
        .replace(['=', ':', '(', ')', ']', '{', '}', ';', '"', '\''], " ")
}

struct Found {
    figure: Figure,
    /// Chunks it takes: first and one past the last.
    span: (usize, usize),
}

struct Scanner<'s, 'a> {
    chunks: &'s [Chunk<'a>],
    words: &'s [&'s str],
    found: Vec<Found>,
    rest: Vec<(usize, Chunk<'a>)>,
}

impl Scanner<'_, '_> {
    /// Reads what starts at chunk `at`; gives where the next thing starts.
    fn step(&mut self, at: usize) -> usize {
        let Some(chunk) = self.chunks.get(at).copied() else {
            return at + 1;
        };
        if let Some(moment) = moment(chunk.text) {
            self.push(Figure::Moment(moment), (at, at + 1));
            return at + 1;
        }
        if let Some((value, used)) = number_word(self.phrase(at)) {
            return self.number(Quantity::integer(value), at, at + used);
        }
        if self.is_ordinal_second(at) {
            return self.number(Quantity::integer(2), at, at + 1);
        }
        if self.is_single_unit(at) {
            return self.number(Quantity::integer(1), at, at + 1);
        }
        let Some(written) = written(chunk.text) else {
            self.rest.push((at, chunk));
            return at + 1;
        };
        if !written.tail.is_empty() {
            let tail = Chunk {
                text: written.tail,
                opens: false,
                ..chunk
            };
            self.rest.push((at, tail));
        }
        let mut end = at + 1;
        for quantity in written.quantities {
            end = self.number(quantity, at, at + 1);
        }
        end
    }

    /// Records a number, with the unit and the role that its neighbours give it.
    fn number(&mut self, mut quantity: Quantity, start: usize, mut end: usize) -> usize {
        if quantity.unit == Unit::Plain {
            if let Some(scale) = self.scale_at(start, end) {
                quantity.number *= scale;
                quantity.half_step *= scale;
                quantity.exact = None;
                end += 1;
            }
            if let Some(unit) = self.unit_at(start, end) {
                quantity.unit = unit;
                end += 1;
            }
        }
        if quantity.unit == Unit::Plain {
            quantity.role = self.role(start, end);
        }
        self.push(Figure::Quantity(quantity), (start, end));
        end
    }

    fn push(&mut self, figure: Figure, span: (usize, usize)) {
        self.found.push(Found { figure, span });
    }

    /// The words from `at` up to the next punctuation.
    fn phrase(&self, at: usize) -> &[&str] {
        let rest = self.chunks.get(at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|chunk| chunk.closes)
            .map_or(rest.len(), |last| last + 1);
        self.words.get(at..at + length).unwrap_or_default()
    }

    /// The word at `next` when no punctuation stands between it and the number that ends before.
    fn attached(&self, start: usize, next: usize) -> Option<&str> {
        let last = self.chunks.get(start.max(next.saturating_sub(1)))?;
        if last.closes {
            None
        } else {
            self.words.get(next).copied()
        }
    }

    fn scale_at(&self, start: usize, next: usize) -> Option<f64> {
        match self.attached(start, next)? {
            "thousand" => Some(1e3),
            "million" => Some(1e6),
            "billion" => Some(1e9),
            _ => None,
        }
    }

    fn unit_at(&self, start: usize, next: usize) -> Option<Unit> {
        self.attached(start, next)?;
        let chunk = self.chunks.get(next)?;
        unit(chunk.text)
    }

    fn is_ordinal_second(&self, at: usize) -> bool {
        let next = self.attached(at, at + 1);
        let is_thing = next.is_some_and(|next| {
            next.chars().all(|c| c.is_ascii_alphabetic()) && !AFTER_A_SECOND.contains(&next)
        });
        self.words.get(at) == Some(&"second") && is_thing
    }

    /// `one minute`, `a gigabyte`; not `a second`, which is said of anything short.
    fn is_single_unit(&self, at: usize) -> bool {
        let is_one = matches!(self.words.get(at), Some(&("one" | "a" | "an")));
        let next = self.attached(at, at + 1).unwrap_or_default();
        is_one && next.len() > 2 && next != "second" && self.unit_at(at, at + 1).is_some()
    }

    fn role(&self, start: usize, end: usize) -> Role {
        let word = |back: usize| {
            start
                .checked_sub(back)
                .and_then(|at| self.words.get(at))
                .copied()
        };
        let mut before = word(1).unwrap_or_default();
        if matches!(before, "is" | "was" | "of" | "with" | "number" | "=" | "id") {
            before = word(2).unwrap_or_default();
        }
        match before {
            "pid" | "pids" | "tgid" | "process" | "task" => Role::ProcessId,
            "code" | "status" | "exited" | "exit" => Role::ExitCode,
            "signal" => Role::Signal,
            _ => self.counted(start, end),
        }
    }

    fn counted(&self, start: usize, end: usize) -> Role {
        let next = self.attached(start, end).unwrap_or_default();
        let plural = next.len() > 3
            && next.ends_with('s')
            && next.chars().all(|c| c.is_ascii_lowercase())
            && !NOT_COUNTED.contains(&next);
        if plural { Role::Count } else { Role::Any }
    }
}

/// The numbers of one chunk and the words glued to the last.
struct Written<'a> {
    quantities: Vec<Quantity>,
    tail: &'a str,
}

/// Reads `32MiB`, `3-5`, `1m30s`, `64-bit`, `3%`; `None` for a name that holds digits.
fn written(text: &str) -> Option<Written<'_>> {
    let mut quantities: Vec<Quantity> = Vec::new();
    let mut rest = text.strip_prefix('#').unwrap_or(text);
    loop {
        let (mut quantity, after) = leading(rest)?;
        let (letters, after) = split_while(after, |c| c.is_alphabetic() || c == '%');
        quantity.unit = suffix(letters)?;
        if matches!(quantity.unit, Unit::Seconds(_)) && starts_with_digit(after) {
            let (sum, after) = clock_time(quantity, after)?;
            quantity = sum;
            rest = after;
        } else {
            rest = after;
        }
        quantities.push(quantity);
        let Some(separator) = rest.chars().next() else {
            break;
        };
        let after = rest.strip_prefix(separator)?;
        match separator {
            '-' | '/' | ',' if starts_with_digit(after) => rest = after,
            '-' if letters.is_empty() => return glued(quantities, after),
            _ => return None,
        }
    }
    Some(Written {
        quantities,
        tail: "",
    })
}

/// `3-second` has a unit, `64-bit` has a word.
fn glued(mut quantities: Vec<Quantity>, after: &str) -> Option<Written<'_>> {
    let (word, tail) = after.split_once('-').unwrap_or((after, ""));
    if word.is_empty() || !after.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
        return None;
    }
    let Some(unit) = unit(word) else {
        return Some(Written {
            quantities,
            tail: after,
        });
    };
    if let Some(last) = quantities.last_mut() {
        last.unit = unit;
    }
    Some(Written { quantities, tail })
}

/// Adds up `1m30s`; `first` is what was read before `rest`.
fn clock_time(first: Quantity, mut rest: &str) -> Option<(Quantity, &str)> {
    let [mut seconds, _] = first.unit.readings(first.number);
    let mut half_step = 0.5;
    while starts_with_digit(rest) {
        let (next, after) = leading(rest)?;
        let (letters, after) = split_while(after, char::is_alphabetic);
        let unit = unit(letters).filter(|unit| matches!(unit, Unit::Seconds(_)))?;
        let [more, _] = unit.readings(next.number);
        let [step, _] = unit.readings(next.half_step);
        seconds += more;
        half_step = step;
        rest = after;
    }
    let sum = Quantity {
        number: seconds,
        exact: None,
        half_step,
        unit: Unit::Seconds(1.0),
        ..first
    };
    Some((sum, rest))
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// Lets the 48 of `48 of 64 MiB` be MiB too.
fn share_units(found: &mut [Found], chunks: &[Chunk<'_>], words: &[&str]) {
    for at in (1..found.len()).rev() {
        let (before, after) = found.split_at_mut(at);
        let (Some(first), Some(second)) = (before.last_mut(), after.first()) else {
            continue;
        };
        let (Figure::Quantity(first_quantity), Figure::Quantity(second_quantity)) =
            (&mut first.figure, &second.figure)
        else {
            continue;
        };
        let unit = match second_quantity.unit {
            Unit::Plain => second_quantity.shared_unit,
            unit => Some(unit),
        };
        let between = words.get(first.span.1..second.span.0).unwrap_or_default();
        let same_phrase = chunks
            .get(first.span.0..second.span.0)
            .is_none_or(|chunks| chunks.iter().all(|chunk| !chunk.closes));
        let joined = same_phrase && between.iter().all(|word| SHARING.contains(word));
        if joined && first_quantity.unit == Unit::Plain {
            first_quantity.shared_unit = unit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(said: &str, fact: &str) -> bool {
        let known = figures_of_fact(fact);
        let said = scan(&chunks(said)).figures;
        !said.is_empty()
            && said
                .iter()
                .all(|said| known.iter().any(|known| said.states(known)))
    }

    #[test]
    fn finds_what_a_fact_states() {
        let fact = "python[1234] was at 31.9 MiB of memory.max=33554432 (limit 32 MiB) after 3.0 s, failcnt 12, exit code 137";
        let said = [
            "It used 31.9 of 32 MiB",
            "PID 1234",
            "process 1234 died",
            "a 32-MiB limit",
            "the limit was 33,554,432 bytes",
            "three seconds",
            "exit code 137",
            "it hit the limit 12 times",
            "twelve times",
            "within 3s",
        ];
        for said in said {
            assert!(states(said, fact), "{said}");
        }
        let not_said = [
            "48 of 32 MiB",
            "PID 137",
            "exit code 1234",
            "signal 137",
            "137 processes",
            "1234 times",
            "four seconds",
            "1m30s",
            "64-bit",
            "twice",
            "a second process",
            "32",
            "1-2",
            "0x20",
        ];
        for said in not_said {
            assert!(!states(said, fact), "{said}");
        }
    }

    #[test]
    fn takes_digits_in_names_for_names() {
        let fact = "pod web-7 on 10.0.0.1 in /proc/42/x, image v3";
        assert_eq!(figures_of_fact(fact), []);
        let words: Vec<_> = scan(&chunks("web-7d4b9c and 3f9a0c ran 64-bit"))
            .words
            .iter()
            .map(|(_, chunk)| chunk.text)
            .collect();
        assert_eq!(words, ["web-7d4b9c", "and", "3f9a0c", "ran", "bit"]);
    }

    #[test]
    fn adds_up_durations() {
        assert!(states("1m30s", "90 s"));
        assert!(states("1h", "60 minutes"));
        assert!(states("3-5 ms", "3 ms, 5 ms"));
    }
}
