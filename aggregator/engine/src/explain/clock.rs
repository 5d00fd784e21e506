//! Times and durations as text. Must not read a clock.

use std::time::Duration;

use crate::model::Timestamp;

const NANOS_PER_MILLI: i64 = 1_000_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// Formats a time as RFC 3339 in UTC with milliseconds.
pub(crate) fn utc(at: Timestamp) -> String {
    let millis = at.as_nanos().div_euclid(NANOS_PER_MILLI);
    let (year, month, day) = civil(millis.div_euclid(MILLIS_PER_DAY));
    let of_day = millis.rem_euclid(MILLIS_PER_DAY);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        of_day / 3_600_000,
        of_day / 60_000 % 60,
        of_day / 1000 % 60,
        of_day % 1000
    )
}

/// Formats a duration in the largest unit that keeps it readable.
pub(crate) fn duration(value: Duration) -> String {
    let seconds = value.as_secs();
    match seconds {
        0 => format!("{:.1} ms", value.as_secs_f64() * 1000.0),
        1..=119 => format!("{:.1} s", value.as_secs_f64()),
        120..=7199 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// The Gregorian date of a day counted from 1970-01-01. Years start in March here, so that the leap
/// day is the last of its year and months have a regular length.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097; // 400 years
    let since_march_year_0 = days + 719_468;
    let era = since_march_year_0.div_euclid(DAYS_PER_ERA);
    let day_of_era = since_march_year_0.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::{duration, utc};
    use crate::model::Timestamp;
    use std::time::Duration;

    #[test]
    fn formats_times_as_rfc_3339() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599_999_999_999, "2025-12-31T23:59:59.999Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(utc(Timestamp::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn formats_the_ends_of_the_range() {
        for nanos in [i64::MIN, i64::MAX] {
            assert!(utc(Timestamp::from_nanos(nanos)).ends_with('Z'));
        }
    }

    #[test]
    fn formats_durations_in_readable_units() {
        for (millis, text) in [
            (0, "0.0 ms"),
            (12, "12.0 ms"),
            (1500, "1.5 s"),
            (150_000, "2 min"),
            (7_200_000, "2 h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
