//! Times at the edge: engine nanoseconds, RFC 3339 text, protobuf timestamps. Must not read a clock.

use inquest_engine::model::Timestamp;
use inquest_proto::v1::Signal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A time in REST objects: RFC 3339, UTC, as many fraction digits as it needs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Time(pub jiff::Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(D::Error::custom)
    }
}

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        // An i64 of nanoseconds spans 1677..2262, inside what jiff can hold.
        Self(jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())).unwrap_or_default())
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Self {
        let nanos = time
            .0
            .as_nanosecond()
            .clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Self::from_nanos(nanos as i64)
    }
}

/// Reads a protobuf timestamp; `None` when its nanoseconds are out of range.
pub fn from_proto(seconds: i64, nanos: i32) -> Option<Timestamp> {
    if !(0..1_000_000_000).contains(&nanos) {
        return None;
    }
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(i64::from(nanos))
        .map(Timestamp::from_nanos)
}

/// The observation time of a wire signal; `None` when absent or out of range.
pub fn observed_at(signal: &Signal) -> Option<Timestamp> {
    let at = signal.observed_at.as_ref()?;
    from_proto(at.seconds, at.nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_nanoseconds_out_of_range() {
        assert_eq!(from_proto(1, -1), None);
        assert_eq!(from_proto(1, 1_000_000_000), None);
        assert_eq!(from_proto(i64::MAX, 0), None);
        assert_eq!(from_proto(1, 5), Some(Timestamp::from_nanos(1_000_000_005)));
    }

    #[test]
    fn text_and_back_is_the_same_time() {
        for nanos in [0, 1, -1, 1_780_000_000_123_456_789, i64::MIN, i64::MAX] {
            let at = Timestamp::from_nanos(nanos);
            let json = serde_json::to_string(&Time::from(at)).unwrap();
            let back: Time = serde_json::from_str(&json).unwrap();
            assert_eq!(Timestamp::from(back), at, "{json}");
        }
    }
}
