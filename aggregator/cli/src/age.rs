//! Ages in the short form that kubectl prints: `45s`, `5m12s`, `3h`, `5d2h`. Must not read a clock.

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// A clock this far behind the writer's is taken as no difference, in seconds.
const TOLERATED_SKEW: i64 = 1;

/// How a span is written while it is shorter than `below` seconds.
struct Form {
    below: i64,
    unit: (i64, char),
    rest: Option<(i64, char)>,
}

const FORMS: [Form; 8] = [
    form(2 * MINUTE, (1, 's'), None),
    form(10 * MINUTE, (MINUTE, 'm'), Some((1, 's'))),
    form(3 * HOUR, (MINUTE, 'm'), None),
    form(8 * HOUR, (HOUR, 'h'), Some((MINUTE, 'm'))),
    form(48 * HOUR, (HOUR, 'h'), None),
    form(8 * DAY, (DAY, 'd'), Some((HOUR, 'h'))),
    form(2 * YEAR, (DAY, 'd'), None),
    form(8 * YEAR, (YEAR, 'y'), Some((DAY, 'd'))),
];

const fn form(below: i64, unit: (i64, char), rest: Option<(i64, char)>) -> Form {
    Form { below, unit, rest }
}

/// Writes `seconds`; `<invalid>` when clearly negative.
pub(crate) fn short(seconds: i64) -> String {
    if seconds < -TOLERATED_SKEW {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let Some(form) = FORMS.iter().find(|form| seconds < form.below) else {
        return format!("{}y", seconds / YEAR);
    };
    let (size, letter) = form.unit;
    let whole = format!("{}{letter}", seconds / size);
    match form.rest {
        Some((size, letter)) if seconds % form.unit.0 >= size => {
            format!("{whole}{}{letter}", seconds % form.unit.0 / size)
        }
        _ => whole,
    }
}

/// Writes how long ago `then` was at `now`.
pub(crate) fn since(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    short(now.as_second().saturating_sub(then.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_short_form_of_kubectl() {
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (312, "5m12s"),
            (10 * MINUTE + 59, "10m"),
            (179 * MINUTE, "179m"),
            (3 * HOUR, "3h"),
            (7 * HOUR + 59 * MINUTE, "7h59m"),
            (47 * HOUR, "47h"),
            (48 * HOUR, "2d"),
            (5 * DAY + 2 * HOUR, "5d2h"),
            (8 * DAY + 5 * HOUR, "8d"),
            (2 * YEAR, "2y"),
            (2 * YEAR + 3 * DAY, "2y3d"),
            (9 * YEAR + 3 * DAY, "9y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(short(seconds), text, "{seconds}");
        }
    }
}
