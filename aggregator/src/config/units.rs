//! Durations and sizes written with their unit, for example `72h` and `2GiB`. Must accept no bare number.

use std::time::Duration;

/// Reads `500ms`, `10s`, `5m`, `72h` or `30d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number
        .checked_mul(millis_per_unit)
        .map(Duration::from_millis)
}

/// Reads `512KiB`, `64MiB`, `2GiB`, `1TiB` or plain bytes as `4096B`.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes_per_unit = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(bytes_per_unit)
}

/// Writes a duration so that `duration` reads it back.
pub(crate) fn print_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    print(millis, &units, "ms")
}

/// Writes a size so that `size` reads it back.
pub(crate) fn print_size(bytes: u64) -> String {
    let units = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    print(bytes, &units, "B")
}

fn print(number: u64, units: &[(u64, &str)], smallest: &str) -> String {
    let whole = units
        .iter()
        .find(|(size, _)| number >= *size && number.is_multiple_of(*size));
    match whole {
        Some((size, unit)) => format!("{}{unit}", number / size),
        None => format!("{number}{smallest}"),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for millis in [0, 1, 999, 1_000, 90_000, 3_600_000, 259_200_000] {
            let value = Duration::from_millis(millis);
            assert_eq!(duration(&print_duration(value)), Some(value));
        }
        for bytes in [0, 1, 1023, 1024, 1 << 31, (1 << 40) + 1] {
            assert_eq!(size(&print_size(bytes)), Some(bytes));
        }
    }

    #[test]
    fn refuses_a_number_without_a_unit_and_a_unit_without_a_number() {
        for text in [
            "",
            "7",
            "h",
            "7 h",
            "-7h",
            "7H",
            "99999999999999999999s",
            "7GB",
        ] {
            assert_eq!(duration(text), None, "{text}");
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(duration("18446744073709551615d"), None);
        assert_eq!(size("18446744073709551615TiB"), None);
    }
}
