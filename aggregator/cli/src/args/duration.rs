//! Spans of time and moments as people type them: `90s`, `1h30m`, `2d`, or an RFC 3339 time.
//! Must not read a clock: a moment given as an age stays one until a command knows the time.

use std::str::FromStr;
use std::time::Duration;

/// A span such as `500ms`, `90s`, `15m`, `1h30m` or `2d`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Span(pub Duration);

/// Why a text is not a span or moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NotATime(&'static str);

impl std::fmt::Display for NotATime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotATime {}

const NOT_A_SPAN: NotATime = NotATime("expected a span such as 90s, 15m, 1h30m or 2d");
const NOT_A_MOMENT: NotATime =
    NotATime("expected an age such as 15m or 2d, or a time such as 2026-01-31T10:00:00Z");

/// Unit names and their milliseconds; `ms` before `m` so that it is found first.
const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
];

impl FromStr for Span {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let mut rest = text;
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (millis, after) = leading_part(rest).ok_or(NOT_A_SPAN)?;
            total = total.checked_add(millis).ok_or(NOT_A_SPAN)?;
            rest = after;
        }
        if total == 0 {
            return Err(NOT_A_SPAN);
        }
        Ok(Self(Duration::from_millis(total)))
    }
}

/// Reads one number with its unit from the front; gives milliseconds and what follows.
fn leading_part(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let (after, millis) = UNITS
        .iter()
        .find_map(|(unit, millis)| Some((rest.strip_prefix(unit)?, millis)))?;
    Some((number.checked_mul(*millis)?, after))
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1000) {
            write!(f, "{}s", millis / 1000)
        } else {
            write!(f, "{millis}ms")
        }
    }
}

/// A point in time, given by itself or by how long ago it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    Ago(Duration),
    At(jiff::Timestamp),
}

impl Moment {
    /// The time it names when the time is `now`.
    pub(crate) fn resolve(self, now: jiff::Timestamp) -> jiff::Timestamp {
        match self {
            Self::Ago(age) => now.checked_sub(age).unwrap_or(jiff::Timestamp::MIN),
            Self::At(at) => at,
        }
    }
}

/// Reads an age or an RFC 3339 time.
pub(crate) fn parse_moment(text: &str) -> Result<Moment, NotATime> {
    if let Ok(Span(age)) = text.parse() {
        return Ok(Moment::Ago(age));
    }
    let at: Option<jiff::Timestamp> = text.parse().ok();
    at.map(Moment::At).ok_or(NOT_A_MOMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_spans_as_people_type_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Span(Duration::from_millis(millis))),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_span() {
        for text in [
            "",
            "5",
            "s",
            "0s",
            "-1h",
            "1 h",
            "5x",
            "99999999999999999999s",
            "1hh",
            "ä",
        ] {
            assert_eq!(text.parse::<Span>(), Err(NOT_A_SPAN), "{text}");
        }
    }

    #[test]
    fn a_moment_is_an_age_or_a_time() {
        let now: jiff::Timestamp = "2026-01-31T10:00:00Z".parse().unwrap();
        let hour_ago: jiff::Timestamp = "2026-01-31T09:00:00Z".parse().unwrap();
        for text in ["1h", "2026-01-31T09:00:00Z", "2026-01-31T10:00:00+01:00"] {
            assert_eq!(parse_moment(text).unwrap().resolve(now), hour_ago, "{text}");
        }
        assert_eq!(parse_moment("yesterday"), Err(NOT_A_MOMENT));
    }

    #[test]
    fn an_age_older_than_time_is_its_beginning() {
        let moment = parse_moment("9999999999d").unwrap();
        assert_eq!(
            moment.resolve(jiff::Timestamp::UNIX_EPOCH),
            jiff::Timestamp::MIN
        );
    }
}
