//! A signal as proto3 JSON, the form of REST answers and of a bundle's `signals.jsonl`. Must fail on
//! nothing that a newer agent may say: an enum value that this version cannot spell is left out.

use inquest_proto::v1::{self, signal::Body};
use serde::Deserialize as _;
use serde_json::Value;

use crate::time;

/// Tells whether this version can read a value.
type IsKnown = fn(&Value) -> bool;

/// Where JSON holds enums, and what reads them: fields by their name in `signal.proto`, of a list each
/// item.
const ENUMS: [(&[&str], IsKnown); 10] = [
    (
        &["subject", "container", "runtime"],
        known::<v1::container::Runtime>,
    ),
    (&["oom_kill", "scope"], known::<v1::oom_kill::Scope>),
    (
        &["fatal_signal", "origin"],
        known::<v1::fatal_signal::Origin>,
    ),
    (
        &["fatal_signal", "sender_class"],
        known::<v1::fatal_signal::SenderClass>,
    ),
    (
        &["coverage_gap", "reason"],
        known::<v1::coverage_gap::Reason>,
    ),
    (
        &["tcp_flows", "flows", "direction"],
        known::<v1::tcp_flow::Direction>,
    ),
    (
        &["wait_profile", "shares", "state"],
        known::<v1::wait_share::State>,
    ),
    (&["denials", "denials", "kind"], known::<v1::denial::Kind>),
    (&["node_event", "kind"], known::<v1::node_event::Kind>),
    (&["daemon_exit", "role"], known::<v1::daemon_exit::Role>),
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
    for (path, is_known) in ENUMS {
        mend(&mut value, path, is_known);
    }
    serde_json::from_value(value)
}

fn known<T: serde::de::DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

/// Makes the enums at the end of a path absent where they are not known.
fn mend(value: &mut Value, path: &[&str], is_known: IsKnown) {
    match (value, path) {
        (Value::Array(items), _) => {
            for item in items {
                mend(item, path, is_known);
            }
        }
        (Value::Object(fields), [name, rest @ ..]) => {
            for key in [(*name).to_owned(), camel(name)] {
                if let Some(field) = fields.get_mut(&key) {
                    mend(field, rest, is_known);
                }
            }
        }
        (word, []) if !is_known(word) => *word = Value::from(0),
        _ => {}
    }
}

/// A field's name as proto3 JSON spells it.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

fn make_spellable(signal: &mut v1::Signal) {
    keep_valid(&mut signal.observed_at);
    if let Some(container) = signal.subject.as_mut().and_then(|s| s.container.as_mut()) {
        container.set_runtime(container.runtime());
    }
    if let Some(body) = &mut signal.body {
        make_enums_spellable(body);
        make_numbers_spellable(body);
        if let Some(start) = window_start(body) {
            keep_valid(start);
        }
    }
}

fn make_enums_spellable(body: &mut Body) {
    match body {
        Body::OomKill(kill) => kill.set_scope(kill.scope()),
        Body::FatalSignal(fatal) => {
            fatal.set_origin(fatal.origin());
            fatal.set_sender_class(fatal.sender_class());
        }
        Body::CoverageGap(gap) => {
            gap.set_reason(gap.reason());
            keep_valid(&mut gap.end);
        }
        Body::TcpFlows(of) => {
            for flow in &mut of.flows {
                flow.set_direction(flow.direction());
            }
        }
        Body::WaitProfile(of) => {
            for share in &mut of.shares {
                share.set_state(share.state());
            }
        }
        Body::Denials(of) => {
            for denial in &mut of.denials {
                denial.set_kind(denial.kind());
            }
        }
        Body::NodeEvent(event) => event.set_kind(event.kind()),
        Body::DaemonExit(exit) => exit.set_role(exit.role()),
        _ => {}
    }
}

/// Makes what is no number 0: JSON has no word for it.
fn make_numbers_spellable(body: &mut Body) {
    let keep_finite = |number: &mut f64| {
        if !number.is_finite() {
            *number = 0.0;
        }
    };
    match body {
        Body::WaitProfile(of) => {
            let shares = of.shares.iter_mut();
            shares.for_each(|share| keep_finite(&mut share.share));
        }
        Body::ResourceUsage(of) => {
            let pressures = [
                &mut of.cpu_pressure,
                &mut of.memory_pressure,
                &mut of.io_pressure,
            ];
            for pressure in pressures.into_iter().flatten() {
                keep_finite(&mut pressure.some);
                keep_finite(&mut pressure.full);
            }
            let optional = [
                &mut of.memory_slope_bytes_per_second,
                &mut of.memory_seconds_left,
            ];
            optional.into_iter().flatten().for_each(keep_finite);
        }
        _ => {}
    }
}

/// Where the window of a counted or sampled body begins.
fn window_start(body: &mut Body) -> Option<&mut Option<pbjson_types::Timestamp>> {
    Some(match body {
        Body::CoverageGap(of) => &mut of.start,
        Body::SyscallFailures(of) => &mut of.start,
        Body::PacketDrops(of) => &mut of.start,
        Body::TcpFlows(of) => &mut of.start,
        Body::ListenOverflow(of) => &mut of.start,
        Body::SocketDrops(of) => &mut of.start,
        Body::IcmpErrors(of) => &mut of.start,
        Body::NeighborFailures(of) => &mut of.start,
        Body::DnsQueries(of) => &mut of.start,
        Body::ConntrackUsage(of) => &mut of.start,
        Body::EphemeralPortUsage(of) => &mut of.start,
        Body::ResourceUsage(of) => &mut of.start,
        Body::FilesystemUsage(of) => &mut of.start,
        Body::BlockIo(of) => &mut of.start,
        Body::WaitProfile(of) => &mut of.start,
        Body::Denials(of) => &mut of.start,
        _ => return None,
    })
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
    fn reads_unknown_enum_values_of_every_kind_also_inside_lists() {
        let cases = [
            json!({"subject": {"container": {"runtime": "RUNTIME_NEW"}}}),
            json!({"fatalSignal": {"origin": "ORIGIN_NEW", "senderClass": "SENDER_CLASS_NEW"}}),
            json!({"fatal_signal": {"sender_class": 77}}),
            json!({"coverageGap": {"reason": "REASON_NEW"}}),
            json!({"tcpFlows": {"flows": [{"direction": "DIRECTION_OUT"}, {"direction": "DIRECTION_UP"}]}}),
            json!({"waitProfile": {"shares": [{"state": "STATE_NEW"}]}}),
            json!({"denials": {"denials": [{"kind": "KIND_NEW"}]}}),
            json!({"nodeEvent": {"kind": "KIND_NEW"}}),
            json!({"daemonExit": {"role": "ROLE_NEW"}}),
        ];
        for case in cases {
            from_json(case.clone()).unwrap_or_else(|error| panic!("{case}: {error}"));
        }
    }

    #[test]
    fn writes_what_is_no_number_as_nothing() {
        let share = v1::WaitShare {
            share: f64::NAN,
            state: 99,
            ..Default::default()
        };
        let profile = v1::WaitProfile {
            shares: vec![share],
            ..Default::default()
        };
        let signal = v1::Signal {
            body: Some(Body::WaitProfile(profile)),
            ..kill(0)
        };
        let Some(Body::WaitProfile(read)) = from_json(to_json(&signal).unwrap()).unwrap().body
        else {
            panic!("another kind")
        };
        assert_eq!(read.shares, [v1::WaitShare::default()]);
    }

    #[test]
    fn reads_a_kind_of_a_newer_agent_as_a_signal_without_body() {
        let json = json!({"id": "a-1", "dnsForecast": {"rcode": 3}});
        let signal = from_json(json).unwrap();
        assert_eq!((signal.id.as_str(), signal.body), ("a-1", None));
    }

    #[test]
    fn refuses_what_is_no_signal() {
        for value in [json!(7), json!({"id": 7}), json!({"oomKill": "much"})] {
            from_json(value).unwrap_err();
        }
    }

    /// Bytes that are mostly a body of some kind: its field number, then anything.
    fn body_bytes() -> impl Strategy<Value = Vec<u8>> {
        let inner = proptest::collection::vec(any::<u8>(), 0..96);
        (10_u32..40, inner).prop_map(|(number, inner)| {
            let mut bytes = Vec::new();
            prost::encoding::bytes::encode(number, &inner, &mut bytes);
            bytes
        })
    }

    proptest! {
        #[test]
        fn writes_any_body_that_decodes_and_reads_it_back(bytes in body_bytes()) {
            if let Ok(signal) = v1::Signal::decode(bytes.as_slice()) {
                from_json(to_json(&signal).unwrap()).unwrap();
            }
        }

        #[test]
        fn writes_whatever_decodes_and_reads_it_back(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(signal) = v1::Signal::decode(bytes.as_slice()) {
                from_json(to_json(&signal).unwrap()).unwrap();
            }
        }
    }
}
