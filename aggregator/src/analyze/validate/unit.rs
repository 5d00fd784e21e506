//! Units of quantities as people and models write them. Must not guess: a unit it does not know is
//! no unit.

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    /// Nothing, or a thing named by a word.
    Plain,
    /// Bytes per unit. `MB` is read both ways, 1000² and 1024²: people write it for either.
    Bytes {
        decimal: f64,
        binary: f64,
    },
    /// Seconds per unit.
    Seconds(f64),
    Percent,
}

const KIB: f64 = 1024.0;
const KB: f64 = 1000.0;

const fn bytes(decimal: f64, binary: f64) -> Unit {
    Unit::Bytes { decimal, binary }
}

/// Reads a unit word or abbreviation; `None` for any other word.
pub(crate) fn unit(word: &str) -> Option<Unit> {
    // Here the case tells minutes from megabytes.
    match word {
        "M" => return Some(bytes(KB * KB, KIB * KIB)),
        "m" => return Some(Unit::Seconds(60.0)),
        _ => {}
    }
    let word = word.to_lowercase();
    let singular = match word.as_str() {
        "s" | "ms" | "us" | "ns" | "\u{b5}s" => word.as_str(),
        other => other.strip_suffix('s').unwrap_or(other),
    };
    Some(match singular {
        "b" | "byte" => bytes(1.0, 1.0),
        "k" | "kb" | "kilobyte" => bytes(KB, KIB),
        "mb" | "meg" | "megabyte" => bytes(KB * KB, KIB * KIB),
        "g" | "gb" | "gig" | "gigabyte" => bytes(KB * KB * KB, KIB * KIB * KIB),
        "t" | "tb" | "terabyte" => bytes(KB * KB * KB * KB, KIB * KIB * KIB * KIB),
        "ki" | "kib" | "kibibyte" => bytes(KIB, KIB),
        "mi" | "mib" | "mebibyte" => bytes(KIB * KIB, KIB * KIB),
        "gi" | "gib" | "gibibyte" => bytes(KIB * KIB * KIB, KIB * KIB * KIB),
        "ti" | "tib" | "tebibyte" => bytes(KIB * KIB * KIB * KIB, KIB * KIB * KIB * KIB),
        "ns" | "nanosecond" => Unit::Seconds(1e-9),
        "us" | "\u{b5}s" | "microsecond" => Unit::Seconds(1e-6),
        "ms" | "msec" | "millisecond" => Unit::Seconds(1e-3),
        "s" | "sec" | "second" => Unit::Seconds(1.0),
        "min" | "minute" => Unit::Seconds(60.0),
        "h" | "hr" | "hour" => Unit::Seconds(3600.0),
        "d" | "day" => Unit::Seconds(86_400.0),
        "week" => Unit::Seconds(604_800.0),
        "%" | "percent" | "pct" => Unit::Percent,
        _ => return None,
    })
}

impl Unit {
    /// Both readings of `number` of this unit in the base unit.
    pub(crate) fn readings(self, number: f64) -> [f64; 2] {
        match self {
            Self::Plain | Self::Percent => [number, number],
            Self::Bytes { decimal, binary } => [number * decimal, number * binary],
            Self::Seconds(seconds) => [number * seconds, number * seconds],
        }
    }

    /// Whether the two count the same kind of thing.
    pub(crate) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}
