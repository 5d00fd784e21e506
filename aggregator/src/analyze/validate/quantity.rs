//! One number as written, with its unit and what it numbers, and when one number states another.
//! Must not accept a figure that is more precise than the fact behind it.

use super::unit::{Unit, unit};

/// Widest rounding accepted, as a share of the fact: `2 GiB` states 1.95 GiB, not 1.6 GiB.
const MAX_ROUNDING: f64 = 0.05;
/// Room for binary fractions, not for rounding.
const EPSILON: f64 = 1e-9;
/// From here on a bare integer in a fact may be a number of bytes, as the kernel's files write them.
const MIN_BARE_BYTES: f64 = 4096.0;

/// What a number without a unit numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Its words do not say.
    Any,
    ProcessId,
    ExitCode,
    Signal,
    /// A number of things: `3 processes`.
    Count,
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantity {
    pub(crate) number: f64,
    /// The number itself where it is an integer that f64 may not hold.
    pub(crate) exact: Option<u128>,
    /// Half a unit of the last digit written: what rounding may have taken away.
    pub(crate) half_step: f64,
    pub(crate) unit: Unit,
    /// The unit of a later number that this one shares: the 48 of `48 of 64 MiB`.
    pub(crate) shared_unit: Option<Unit>,
    pub(crate) role: Role,
}

impl Quantity {
    /// A number that is written as a word or whose digits are all there.
    pub(crate) fn integer(value: u128) -> Self {
        Self {
            number: value as f64,
            exact: Some(value),
            half_step: 0.5,
            unit: Unit::Plain,
            shared_unit: None,
            role: Role::Any,
        }
    }

    /// `self`, from a sentence, says no more than `fact` does.
    pub(crate) fn states(&self, fact: &Self) -> bool {
        let shared = self.shared_unit.map(|unit| Self {
            unit,
            shared_unit: None,
            ..*self
        });
        self.states_as_written(fact) || shared.is_some_and(|shared| shared.states_as_written(fact))
    }

    fn states_as_written(&self, fact: &Self) -> bool {
        match (self.unit, fact.unit) {
            (Unit::Plain, Unit::Plain) => self.role.fits(fact.role) && self.equals_or_rounds(fact),
            (said, known) if said.is_like(known) => self.equals_or_rounds(fact),
            (Unit::Bytes { .. }, Unit::Plain) => {
                let as_bytes = Unit::Bytes {
                    decimal: 1.0,
                    binary: 1.0,
                };
                let bare = fact.exact.is_some() && fact.number >= MIN_BARE_BYTES;
                bare && self.equals_or_rounds(&Self {
                    unit: as_bytes,
                    ..*fact
                })
            }
            (Unit::Plain, Unit::Bytes { decimal, .. }) => {
                let written_out = decimal <= 1.0 && self.number >= MIN_BARE_BYTES;
                written_out && self.exact.is_some() && self.exact == fact.exact
            }
            _ => false,
        }
    }

    fn equals_or_rounds(&self, fact: &Self) -> bool {
        if let (Some(said), Some(known), Unit::Plain) = (self.exact, fact.exact, self.unit) {
            return said == known
                && self.number.is_sign_negative() == fact.number.is_sign_negative();
        }
        let half_steps = self.unit.readings(self.half_step);
        let said = self.unit.readings(self.number).into_iter().zip(half_steps);
        said.into_iter().any(|(said, half_step)| {
            fact.unit.readings(fact.number).into_iter().any(|known| {
                let rounding = half_step.min(known.abs() * MAX_ROUNDING);
                (said - known).abs() <= rounding.max(known.abs() * EPSILON)
            })
        })
    }
}

impl Role {
    fn fits(self, fact: Self) -> bool {
        self == fact || self == Self::Any || fact == Self::Any
    }
}

/// A number at the start of `text`, and what follows it.
pub(crate) fn leading(text: &str) -> Option<(Quantity, &str)> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let (digits, rest) = split_while(hex, |c| c.is_ascii_hexdigit());
        let value = u128::from_str_radix(digits, 16).ok()?;
        return Some((Quantity::integer(value), rest));
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mut digits, mut rest) = integer_digits(unsigned)?;
    let mut decimals = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let (fraction, after) = split_while(after, |c| c.is_ascii_digit());
        if !fraction.is_empty() {
            decimals = i32::try_from(fraction.len()).ok()?;
            digits = format!("{digits}.{fraction}");
            rest = after;
        }
    }
    let (exponent, rest) = exponent(rest);
    let sign = if negative { -1.0 } else { 1.0 };
    let number = digits.parse::<f64>().ok()? * 10f64.powi(exponent);
    let integer = decimals == 0 && exponent == 0;
    let quantity = Quantity {
        number: sign * number,
        exact: if integer { digits.parse().ok() } else { None },
        half_step: 0.5 * 10f64.powi(exponent - decimals),
        ..Quantity::integer(0)
    };
    quantity.number.is_finite().then_some((quantity, rest))
}

/// Digits with or without separators between thousands.
fn integer_digits(text: &str) -> Option<(String, &str)> {
    let (first, mut rest) = split_while(text, |c| c.is_ascii_digit());
    if first.is_empty() {
        return None;
    }
    let mut digits = first.to_owned();
    let Some(separator) = rest
        .chars()
        .next()
        .filter(|c| matches!(c, ',' | '_' | '\''))
    else {
        return Some((digits, rest));
    };
    while let Some(after) = rest.strip_prefix(separator) {
        let (group, after) = split_while(after, |c| c.is_ascii_digit());
        if group.len() != 3 || first.len() > 3 {
            break;
        }
        digits.push_str(group);
        rest = after;
    }
    Some((digits, rest))
}

fn exponent(text: &str) -> (i32, &str) {
    let read = || {
        let after = text.strip_prefix(['e', 'E'])?;
        let unsigned = after.strip_prefix(['+', '-']).unwrap_or(after);
        let (digits, rest) = split_while(unsigned, |c| c.is_ascii_digit());
        let value: i32 = digits.parse().ok().filter(|value| *value <= 30)?;
        Some((
            if after.starts_with('-') {
                -value
            } else {
                value
            },
            rest,
        ))
    };
    read().unwrap_or((0, text))
}

/// The unit that follows a number without a blank, as in `32MiB`, `9th` or `3x`.
pub(crate) fn suffix(text: &str) -> Option<Unit> {
    match text {
        "" | "x" | "st" | "nd" | "rd" | "th" => Some(Unit::Plain),
        other => unit(other),
    }
}

pub(crate) fn split_while(text: &str, holds: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !holds(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Quantity {
        let (quantity, rest) = leading(text).unwrap();
        Quantity {
            unit: suffix(rest.trim()).unwrap(),
            ..quantity
        }
    }

    #[test]
    fn states_the_same_value_in_other_units_and_coarser_digits() {
        let cases = [
            ("32 MiB", "33554432 bytes"),
            ("32.0 MiB", "33554432 bytes"),
            ("32 MB", "32 MiB"),
            ("33.6 MB", "33554432 bytes"),
            ("33,554,432 bytes", "32 MiB"),
            ("33554432", "33554432 bytes"),
            ("32 MiB", "33554432"),
            ("32 MiB", "31.9 MiB"),
            ("0.03 GiB", "32 MiB"),
            ("0x10", "16"),
            ("0", "0x0"),
            ("1.5 s", "1500 ms"),
            ("100 %", "100%"),
            ("18446744073709551615", "0xffffffffffffffff"),
        ];
        for (said, known) in cases {
            assert!(read(said).states(&read(known)), "{said} states {known}");
        }
    }

    #[test]
    fn does_not_state_another_value() {
        let cases = [
            ("33 MiB", "32 MiB"),
            ("32 MiB", "32 KiB"),
            ("32", "32 MiB"),
            ("32 s", "32 MiB"),
            ("33554431 bytes", "32 MiB"),
            ("33,560,000 bytes", "32.0 MiB"),
            ("2 GiB", "1.6 GiB"),
            ("137", "-137"),
            ("138", "137"),
            ("18446744073709551614", "0xffffffffffffffff"),
            ("137%", "137"),
            ("9 MiB", "9"),
        ];
        for (said, known) in cases {
            assert!(!read(said).states(&read(known)), "{said} states {known}");
        }
    }

    #[test]
    fn leaves_what_is_not_a_number_alone() {
        for text in ["", "abc", "-", ".5", "0xzz"] {
            assert_eq!(leading(text), None, "{text}");
        }
        assert_eq!(leading("10.0.0.1").unwrap().1, ".0.1");
        assert_eq!(leading("1,23").unwrap().1, ",23");
    }
}
