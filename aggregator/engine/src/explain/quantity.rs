//! Amounts of memory as text. Must not round a whole number of units.

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// Formats bytes in the largest binary unit: whole when it is, else with one decimal.
pub(crate) fn bytes(value: u64) -> String {
    let mut size = 1_u64;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        let next = size * 1024;
        if value < next {
            break;
        }
        size = next;
        unit = larger;
    }
    if value.is_multiple_of(size) {
        format!("{} {unit}", value / size)
    } else {
        format!("{:.1} {unit}", value as f64 / size as f64)
    }
}

/// Formats a count with its noun in the right number.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, count};

    #[test]
    fn formats_bytes_in_binary_units() {
        for (value, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (64 << 20, "64 MiB"),
            ((64 << 20) - 4096, "64.0 MiB"),
            (5 << 30, "5 GiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn counts_with_the_right_number() {
        assert_eq!(count(1, "level"), "1 level");
        assert_eq!(count(0, "level"), "0 levels");
    }
}
