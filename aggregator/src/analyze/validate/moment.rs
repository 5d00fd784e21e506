//! Dates and times of day as written, and when one states another. Must not convert time zones:
//! facts are in UTC, and a sentence that shifts them says something else.

use super::quantity::split_while;

/// A date, a time of day, or both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Year, month, day.
    date: Option<(u32, u32, u32)>,
    /// Seconds since midnight, and the length of the shortest unit written.
    time: Option<(f64, f64)>,
}

impl Moment {
    /// `self`, from a sentence, names a moment that `fact` lies in or rounds to.
    pub(crate) fn states(&self, fact: &Self) -> bool {
        let date = self.date.is_none() || self.date == fact.date;
        let time = match (self.time, fact.time) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((said, step)), Some((known, known_step))) => {
                let inside = known >= said && known < said + step;
                step >= known_step && (inside || (said - known).abs() <= step / 2.0)
            }
        };
        date && time
    }
}

/// Reads `2026-11-25`, `12:00:01.5Z`, `12:00` or `2026-11-25T12:00:01Z`.
pub(crate) fn moment(text: &str) -> Option<Moment> {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    match text.split_once(['T', 't']) {
        Some((day, clock)) => Some(Moment {
            date: Some(date(day)?),
            time: Some(time(clock)?),
        }),
        None if text.contains(':') => Some(Moment {
            date: None,
            time: Some(time(text)?),
        }),
        None => Some(Moment {
            date: Some(date(text)?),
            time: None,
        }),
    }
}

fn date(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let (year, month, day) = (digits(year)?, digits(month)?, digits(day)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some((year, month, day))
}

fn time(text: &str) -> Option<(f64, f64)> {
    let mut parts = text.split(':');
    let hour = digits(parts.next()?).filter(|hour| *hour < 24)?;
    let minute = parts.next().filter(|minute| minute.len() == 2)?;
    let minute = digits(minute).filter(|minute| *minute < 60)?;
    let minutes = f64::from(hour * 60 + minute);
    let Some(seconds) = parts.next() else {
        return Some((minutes * 60.0, 60.0));
    };
    if parts.next().is_some() {
        return None;
    }
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    digits(whole).filter(|second| *second <= 60 && whole.len() == 2)?;
    if !fraction.is_empty() {
        digits(fraction)?;
    }
    let step = 10f64.powi(-i32::try_from(fraction.len()).ok()?);
    Some((minutes * 60.0 + seconds.parse::<f64>().ok()?, step))
}

fn digits(text: &str) -> Option<u32> {
    let (digits, rest) = split_while(text, |c| c.is_ascii_digit());
    (rest.is_empty() && !digits.is_empty() && digits.len() <= 9).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_a_moment_it_holds_and_no_other() {
        let fact = moment("2026-11-25T12:00:01.963456789Z").unwrap();
        let cases = [
            ("2026-11-25", true),
            ("12:00", true),
            ("12:00:01", true),
            ("12:00:02", true),
            ("12:00:01.96", true),
            ("12:00:01.963456789Z", true),
            ("2026-11-25T12:00:01Z", true),
            ("2026-11-24", false),
            ("12:01", false),
            ("13:00:01", false),
            ("12:00:03", false),
            ("12:00:01.9", true),
            ("12:00:01.8", false),
            ("2026-11-24T12:00:01Z", false),
        ];
        for (text, states) in cases {
            assert_eq!(moment(text).unwrap().states(&fact), states, "{text}");
        }
        assert!(
            !moment("12:00")
                .unwrap()
                .states(&moment("2026-11-25").unwrap())
        );
    }

    #[test]
    fn leaves_what_is_no_moment_alone() {
        for text in [
            "",
            "12",
            "25:00",
            "12:60",
            "1:2",
            "2026-13-01",
            "2026-1-1",
            "a:b",
            "10.0.0.1:80",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
