//! A signal as proto3 JSON, the form of REST answers and of a bundle's `signals.jsonl`. Must fail on
//! nothing that a newer agent may say: an enum value that this version cannot spell is left out.

use inquest_proto::v1::{self, signal::Body};
use serde::Deserialize as _;
use serde_json::Value;

use crate::time;

/// Tells whether this version can read a value.
type IsKnown = fn(&Value) -> bool;

/// Where JSON holds enums, and what reads them.
const ENUMS: [(&str, IsKnown); 7] = [
    (
        "/subject/container/runtime",
        known::<v1::container::Runtime>,
    ),
    ("/oomKill/scope", known::<v1::oom_kill::Scope>),
    ("/oom_kill/scope", known::<v1::oom_kill::Scope>),
    ("/fatalSignal/origin", known::<v1::fatal_signal::Origin>),
    ("/fatal_signal/origin", known::<v1::fatal_signal::Origin>),
    ("/coverageGap/reason", known::<v1::coverage_gap::Reason>),
    ("/coverage_gap/reason", known::<v1::coverage_gap::Reason>),
];

/// Writes a signal as proto3 JSON. An unknown enum value and a time out of range, which JSON cannot
/// spell, become absent.
pub fn to_json(signal: &v1::Signal) -> serde_json::Result<Value> {
    let mut signal = signal.clone();
    make_spellable(&mut signal);
    serde_json::to_value(signal)
}

/// Reads a signal from proto3 JSON; unknown fields and enum values count as absent.
pub fn from_json(mut value: Value) -> serde_json::Result<v1::Signal> {
    // The usual signal has nothing to mend.
    if let Ok(signal) = v1::Signal::deserialize(&value) {
        return Ok(signal);
    }
    for (pointer, is_known) in ENUMS {
        if let Some(word) = value.pointer_mut(pointer).filter(|word| !is_known(word)) {
            *word = Value::from(0);
        }
    }
    serde_json::from_value(value)
}

fn known<T: serde::de::DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

fn make_spellable(signal: &mut v1::Signal) {
    keep_valid(&mut signal.observed_at);
    if let Some(container) = signal.subject.as_mut().and_then(|s| s.container.as_mut()) {
        container.set_runtime(container.runtime());
    }
    match &mut signal.body {
        Some(Body::OomKill(kill)) => kill.set_scope(kill.scope()),
        Some(Body::FatalSignal(fatal)) => fatal.set_origin(fatal.origin()),
        Some(Body::CoverageGap(gap)) => {
            gap.set_reason(gap.reason());
            keep_valid(&mut gap.start);
            keep_valid(&mut gap.end);
        }
        _ => {}
    }
}

fn keep_valid(at: &mut Option<pbjson_types::Timestamp>) {
    if at.is_some_and(|t| time::from_proto(t.seconds, t.nanos).is_none()) {
        *at = None;
    }
}

#[cfg(test)]
mod tests {
    use pbjson_types::Timestamp;
    use proptest::prelude::*;
    use prost::Message as _;
    use serde_json::json;

    use super::*;

    fn kill(scope: i32) -> v1::Signal {
        v1::Signal {
            id: "a-1".into(),
            observed_at: Some(Timestamp {
                seconds: 1_780_000_000,
                nanos: 5,
            }),
            body: Some(Body::OomKill(v1::OomKill {
                scope,
                oom_score_adj: -7,
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    #[test]
    fn there_and_back_is_the_same_signal() {
        let signal = kill(1);
        assert_eq!(from_json(to_json(&signal).unwrap()).unwrap(), signal);
    }

    #[test]
    fn writes_an_enum_value_of_a_newer_agent_as_absent() {
        let json = to_json(&kill(99)).unwrap();
        assert_eq!(from_json(json).unwrap(), kill(0));
    }

    #[test]
    fn reads_an_enum_value_of_a_newer_agent_as_absent_and_keeps_the_rest() {
        for word in [json!("SCOPE_COSMIC"), json!(99)] {
            let mut json = to_json(&kill(1)).unwrap();
            *json.pointer_mut("/oomKill/scope").unwrap() = word;
            assert_eq!(from_json(json).unwrap(), kill(0));
        }
    }

    #[test]
    fn reads_a_kind_of_a_newer_agent_as_a_signal_without_body() {
        let json = json!({"id": "a-1", "dnsFailure": {"rcode": 3}});
        let signal = from_json(json).unwrap();
        assert_eq!((signal.id.as_str(), signal.body), ("a-1", None));
    }

    #[test]
    fn refuses_what_is_no_signal() {
        for value in [json!(7), json!({"id": 7}), json!({"oomKill": "much"})] {
            from_json(value).unwrap_err();
        }
    }

    proptest! {
        #[test]
        fn writes_whatever_decodes_and_reads_it_back(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(signal) = v1::Signal::decode(bytes.as_slice()) {
                from_json(to_json(&signal).unwrap()).unwrap();
            }
        }
    }
}
