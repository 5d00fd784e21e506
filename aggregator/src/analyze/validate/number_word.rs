//! Numbers written as words: `three`, `twenty-one`, `two hundred and six`, `ninth`, `twice`. Must
//! leave `one` and `first` alone, which English uses where nobody counts.

/// Reads a number at the start of `words`, lower case; gives its value and how many words it takes.
pub(crate) fn number_word(words: &[&str]) -> Option<(u128, usize)> {
    let first = *words.first()?;
    if let Some(value) = ordinal(first) {
        return Some((value, 1));
    }
    let article = matches!(first, "a" | "an");
    if article && words.get(1).is_none_or(|word| scale(word).is_none()) {
        return None;
    }
    let mut total = 0u128;
    let mut group = 0u128;
    let mut used = 0;
    for (at, word) in words.iter().enumerate() {
        let joins = *word == "and"
            && used > 0
            && words
                .get(at + 1)
                .is_some_and(|next| cardinal(next).is_some());
        if joins && words.get(at - 1).is_some_and(|word| scale(word).is_some()) {
            continue;
        }
        if at == 0 && article {
            group = 1;
        } else if let Some(value) = cardinal(word).filter(|value| fits(group, *value)) {
            group = group.saturating_add(value);
        } else if let Some(value) = scale(word) {
            group = group.max(1).saturating_mul(value);
            if value >= 1000 {
                total = total.saturating_add(group);
                group = 0;
            }
        } else {
            break;
        }
        used = at + 1;
    }
    let counts = used > 1 || first != "one";
    (used > 0 && counts).then_some((total.saturating_add(group), used))
}

/// `two` follows `twenty` or `hundred`, but not `three`.
fn fits(group: u128, value: u128) -> bool {
    match group {
        0 => true,
        _ if group.is_multiple_of(100) => value < 100,
        _ => group.is_multiple_of(10) && group % 100 >= 20 && (1..10).contains(&value),
    }
}

fn scale(word: &str) -> Option<u128> {
    Some(match word {
        "dozen" => 12,
        "hundred" => 100,
        "thousand" => 1_000,
        "million" => 1_000_000,
        "billion" => 1_000_000_000,
        _ => return None,
    })
}

fn cardinal(word: &str) -> Option<u128> {
    if let Some((tens, ones)) = word.split_once('-') {
        let (tens, ones) = (cardinal(tens)?, cardinal(ones)?);
        return (tens >= 20 && fits(tens, ones)).then_some(tens + ones);
    }
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = [
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    let position = |list: &[&str]| list.iter().position(|known| *known == word);
    let ones = position(&ONES).map(|at| at as u128);
    ones.or_else(|| position(&TENS).map(|at| (at as u128 + 2) * 10))
}

fn ordinal(word: &str) -> Option<u128> {
    if let Some((tens, ones)) = word.split_once('-') {
        let (tens, ones) = (
            cardinal(tens)?,
            if ones == "first" { 1 } else { ordinal(ones)? },
        );
        return (tens >= 20 && ones < 10).then_some(tens + ones);
    }
    Some(match word {
        "couple" | "pair" | "twice" => 2,
        "third" | "thrice" => 3,
        "fifth" => 5,
        "eighth" => 8,
        "ninth" => 9,
        "twelfth" => 12,
        "twentieth" => 20,
        "thirtieth" => 30,
        other => cardinal(other.strip_suffix("th")?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_in_words() {
        let cases = [
            ("three processes", Some((3, 1))),
            ("twenty-one", Some((21, 1))),
            ("twenty one", Some((21, 2))),
            ("two hundred and six bytes", Some((206, 4))),
            ("a hundred times", Some((100, 2))),
            ("a dozen", Some((12, 2))),
            ("one hundred thirty-seven", Some((137, 3))),
            ("two thousand and one", Some((2001, 4))),
            ("three million two hundred thousand", Some((3_200_000, 5))),
            ("three and four", Some((3, 1))),
            ("three four", Some((3, 1))),
            ("ninth", Some((9, 1))),
            ("twenty-first", Some((21, 1))),
            ("twice", Some((2, 1))),
            ("zero", Some((0, 1))),
            ("one of them", None),
            ("first", None),
            ("a process", None),
            ("and", None),
            ("", None),
        ];
        for (text, value) in cases {
            let words: Vec<_> = text.split(' ').collect();
            assert_eq!(number_word(&words), value, "{text}");
        }
    }
}
