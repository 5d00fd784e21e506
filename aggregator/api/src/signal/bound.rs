//! How much of a signal is kept: bounded texts, lists and shares. Must take any bytes.

/// Longest text kept from a signal, in bytes; longer ones are cut. A cgroup path is the longest honest one.
const MAX_TEXT_BYTES: usize = 4096;

/// Most items kept of a list; agents send at most 64 of a kind, and a signal of 64 KiB holds few more.
pub(super) const MAX_ITEMS: usize = 256;

/// Reads the first items of a list.
pub(super) fn list<From, To>(from: &[From], read: impl Fn(&From) -> To) -> Vec<To> {
    from.iter().take(MAX_ITEMS).map(read).collect()
}

/// Cuts at a character boundary and drops control characters, which a terminal would obey.
pub(super) fn text(from: &str) -> String {
    let end = from.floor_char_boundary(MAX_TEXT_BYTES);
    let (kept, _) = from.split_at(end);
    kept.chars().filter(|c| !c.is_control()).collect()
}

/// A text, absent when empty.
pub(super) fn known_text(from: &str) -> Option<String> {
    (!from.is_empty()).then(|| text(from))
}

/// A share of 0 to 1 in thousandths; what is not a number counts as 0.
pub(super) fn permille(share: f64) -> u32 {
    if share.is_nan() {
        0
    } else {
        (share.clamp(0.0, 1.0) * 1000.0).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_what_a_terminal_would_obey_and_bounds_length() {
        let cleaned = text("a\u{1b}[31mred\nb");
        assert_eq!(cleaned, "a[31mredb");
        assert!(text(&"ä".repeat(MAX_TEXT_BYTES)).len() <= MAX_TEXT_BYTES);
    }

    #[test]
    fn keeps_the_first_items_of_a_list() {
        let kept = list(&vec![7; MAX_ITEMS + 1], |item| *item);
        assert_eq!(kept.len(), MAX_ITEMS);
    }

    #[test]
    fn holds_a_share_within_its_range() {
        for (share, expected) in [
            (0.5, 500),
            (-1.0, 0),
            (7.0, 1000),
            (f64::NAN, 0),
            (f64::INFINITY, 1000),
        ] {
            assert_eq!(permille(share), expected, "{share}");
        }
    }
}
