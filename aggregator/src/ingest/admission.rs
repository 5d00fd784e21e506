//! What may come in. Decides from one message alone: pure, no state, no panic on any input.

use inquest_api::signal::{SignalError, to_engine};
use inquest_engine::{
    config::MAX_CLOCK_AHEAD,
    model::{self as engine, NodeName, Timestamp},
};
use inquest_proto::{PROTOCOL, v1};
use prost::Message as _;

use super::Refusal;
use crate::{error_code::ErrorCode, store::MAX_SIGNAL_BYTES};

/// Most signals taken from one batch; agents cut theirs at 500.
pub(super) const MAX_BATCH_SIGNALS: usize = 10_000;
/// Most losses taken from one batch as they are; the closed list of them is shorter.
const MAX_BATCH_LOSSES: usize = 64;
/// Longest agent or node name, as Kubernetes allows.
const MAX_NAME_BYTES: usize = 253;

/// Checks the first message of a stream.
pub(super) fn hello(first: v1::AgentMessage) -> Result<v1::Hello, Refusal> {
    let Some(v1::agent_message::Message::Hello(hello)) = first.message else {
        return Err(invalid("the first message of a stream must be hello"));
    };
    if hello.protocol != PROTOCOL {
        return Err(Refusal {
            code: ErrorCode::ProtocolUnsupported,
            message: format!(
                "protocol {} is not spoken here; this aggregator speaks {PROTOCOL}",
                hello.protocol
            ),
        });
    }
    if hello.start_id == 0 {
        return Err(invalid("start_id must not be 0"));
    }
    if !is_name(&hello.agent_id) {
        return Err(invalid(
            "agent_id must be a name of 1 to 253 printable bytes",
        ));
    }
    if !hello.node.is_empty() && !is_name(&hello.node) {
        return Err(invalid("node must be a name of up to 253 printable bytes"));
    }
    Ok(hello)
}

fn is_name(name: &str) -> bool {
    let is_printable = |c: char| !c.is_control() && !c.is_whitespace();
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(is_printable)
}

fn invalid(message: &str) -> Refusal {
    Refusal {
        code: ErrorCode::InvalidArgument,
        message: message.to_owned(),
    }
}

/// A batch with its good signals in both forms and the bad ones counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Admitted {
    pub start_id: u64,
    pub sequence: u64,
    pub skipped: u64,
    /// What the agent lost before this batch.
    pub lost: Vec<v1::Loss>,
    /// As stored: node name filled in.
    pub wire: Vec<v1::Signal>,
    /// The same signals as the engine reads them.
    pub signals: Vec<engine::Signal>,
    /// What was refused of this batch.
    pub refused: Vec<v1::Loss>,
    /// How many are observed well ahead of the aggregator's clock; they are kept.
    pub future: u64,
}

/// Sorts a batch's signals into good and refused. Only what breaks the protocol refuses the batch:
/// an agent resends a refused batch for ever.
pub(super) fn batch(
    batch: v1::SignalBatch,
    node: &NodeName,
    now: Timestamp,
) -> Result<Admitted, Refusal> {
    if batch.start_id == 0 {
        return Err(invalid("start_id of a batch must not be 0"));
    }
    // The store keeps sequences as signed integers.
    if batch.sequence == 0 || i64::try_from(batch.sequence).is_err() {
        return Err(invalid("sequence of a batch must be within 1..=2^63-1"));
    }
    let mut admitted = Admitted {
        start_id: batch.start_id,
        sequence: batch.sequence,
        skipped: batch.skipped,
        lost: bounded(batch.lost),
        ..Admitted::default()
    };
    for (index, mut signal) in batch.signals.into_iter().enumerate() {
        // The stream says whose signals these are; a signal cannot speak for another node.
        signal.node.clone_from(&node.0);
        let judged = if index >= MAX_BATCH_SIGNALS {
            Err("oversized_batch")
        } else {
            judge(&signal, node)
        };
        match judged {
            Ok(read) => {
                let ahead = read.observed_at > now.plus(MAX_CLOCK_AHEAD);
                admitted.future += u64::from(ahead);
                admitted.signals.push(read);
                admitted.wire.push(signal);
            }
            Err(reason) => admitted.refuse(reason),
        }
    }
    Ok(admitted)
}

/// Sums up as `other` the losses past the bound.
fn bounded(mut lost: Vec<v1::Loss>) -> Vec<v1::Loss> {
    let surplus = lost.split_off(lost.len().min(MAX_BATCH_LOSSES));
    let counts = surplus.iter().map(|loss| loss.count);
    if let Some(count) = counts.reduce(u64::saturating_add) {
        lost.push(v1::Loss {
            stage: v1::loss::Stage::Unspecified.into(),
            reason: "other".to_owned(),
            count,
            ..v1::Loss::default()
        });
    }
    lost
}

fn judge(signal: &v1::Signal, node: &NodeName) -> Result<engine::Signal, &'static str> {
    if signal.encoded_len() > MAX_SIGNAL_BYTES {
        return Err("oversized_signal");
    }
    to_engine(signal, node).map_err(|error| match error {
        SignalError::NoId => "no_id",
        SignalError::NoTime { .. } => "no_time",
    })
}

impl Admitted {
    fn refuse(&mut self, reason: &'static str) {
        match self.refused.iter_mut().find(|loss| loss.reason == reason) {
            Some(loss) => loss.count += 1,
            None => self.refused.push(v1::Loss {
                stage: v1::loss::Stage::Ingest.into(),
                reason: reason.to_owned(),
                count: 1,
                ..v1::Loss::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use pbjson_types::Timestamp as Wire;
    use proptest::prelude::*;
    use v1::agent_message::Message;

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_780_000_000_000_000_000);

    fn node() -> NodeName {
        NodeName("n1".into())
    }

    fn good_hello() -> v1::Hello {
        v1::Hello {
            protocol: PROTOCOL,
            agent_id: "n1".into(),
            start_id: 7,
            ..Default::default()
        }
    }

    fn said(hello: v1::Hello) -> v1::AgentMessage {
        v1::AgentMessage {
            message: Some(Message::Hello(hello)),
        }
    }

    fn signal(id: &str) -> v1::Signal {
        v1::Signal {
            id: id.into(),
            observed_at: Some(Wire {
                seconds: 1_780_000_000,
                nanos: 0,
            }),
            ..Default::default()
        }
    }

    fn good_batch(signals: Vec<v1::Signal>) -> v1::SignalBatch {
        v1::SignalBatch {
            start_id: 7,
            sequence: 1,
            signals,
            ..Default::default()
        }
    }

    #[test]
    fn takes_a_good_hello() {
        assert_eq!(hello(said(good_hello())).unwrap(), good_hello());
    }

    #[test]
    fn refuses_a_hello_that_cannot_be_served() {
        type Spoil = fn(&mut v1::Hello);
        let cases: [(Spoil, ErrorCode, &str); 6] = [
            (
                |h| h.protocol = 9,
                ErrorCode::ProtocolUnsupported,
                "protocol 9 is not spoken here; this aggregator speaks 1",
            ),
            (
                |h| h.protocol = 0,
                ErrorCode::ProtocolUnsupported,
                "protocol 0 is not spoken here; this aggregator speaks 1",
            ),
            (
                |h| h.start_id = 0,
                ErrorCode::InvalidArgument,
                "start_id must not be 0",
            ),
            (
                |h| h.agent_id.clear(),
                ErrorCode::InvalidArgument,
                "agent_id must be a name of 1 to 253 printable bytes",
            ),
            (
                |h| h.agent_id = "a\nb".into(),
                ErrorCode::InvalidArgument,
                "agent_id must be a name of 1 to 253 printable bytes",
            ),
            (
                |h| h.node = "n".repeat(254),
                ErrorCode::InvalidArgument,
                "node must be a name of up to 253 printable bytes",
            ),
        ];
        for (spoil, code, message) in cases {
            let mut spoiled = good_hello();
            spoil(&mut spoiled);
            let refusal = hello(said(spoiled)).unwrap_err();
            assert_eq!((refusal.code, refusal.message.as_str()), (code, message));
        }
    }

    #[test]
    fn refuses_a_stream_that_does_not_begin_with_hello() {
        for message in [None, Some(Message::Status(v1::NodeStatus::default()))] {
            let refusal = hello(v1::AgentMessage { message }).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidArgument);
        }
    }

    #[test]
    fn keeps_the_good_signals_of_a_batch_and_counts_the_bad() {
        let mut timeless = signal("s-2");
        timeless.observed_at = None;
        let mut huge = signal("s-3");
        huge.id = "x".repeat(MAX_SIGNAL_BYTES);
        let signals = vec![signal("s-1"), timeless, signal(""), signal(""), huge];
        let admitted = batch(good_batch(signals), &node(), NOW).unwrap();
        assert_eq!(admitted.wire.len(), 1);
        assert_eq!(admitted.signals.len(), 1);
        let refused: Vec<_> = admitted
            .refused
            .iter()
            .map(|l| (l.reason.as_str(), l.count))
            .collect();
        assert_eq!(
            refused,
            [("no_time", 1), ("no_id", 2), ("oversized_signal", 1)]
        );
    }

    #[test]
    fn takes_so_many_signals_and_counts_the_rest() {
        let signals = vec![signal("s"); MAX_BATCH_SIGNALS + 3];
        let admitted = batch(good_batch(signals), &node(), NOW).unwrap();
        assert_eq!(admitted.wire.len(), MAX_BATCH_SIGNALS);
        assert_eq!(admitted.refused[0].reason, "oversized_batch");
        assert_eq!(admitted.refused[0].count, 3);
    }

    #[test]
    fn takes_so_many_losses_and_sums_up_the_rest() {
        let sent = |length| v1::SignalBatch {
            lost: vec![
                v1::Loss {
                    stage: v1::loss::Stage::Queue.into(),
                    reason: "full".into(),
                    count: 2,
                    ..v1::Loss::default()
                };
                length
            ],
            ..good_batch(Vec::new())
        };
        let lost = |length| batch(sent(length), &node(), NOW).unwrap().lost;
        assert_eq!(lost(MAX_BATCH_LOSSES), sent(MAX_BATCH_LOSSES).lost);
        let summed = lost(MAX_BATCH_LOSSES + 3);
        assert_eq!(summed.len(), MAX_BATCH_LOSSES + 1);
        let rest = summed.last().unwrap();
        assert_eq!((rest.reason.as_str(), rest.count), ("other", 6));
    }

    #[test]
    fn a_signal_cannot_speak_for_another_node() {
        let mut foreign = signal("s-1");
        foreign.node = "n2".into();
        let admitted = batch(good_batch(vec![foreign]), &node(), NOW).unwrap();
        assert_eq!(admitted.wire[0].node, "n1");
        assert_eq!(admitted.signals[0].node, node());
    }

    #[test]
    fn keeps_and_counts_a_signal_from_the_future() {
        let mut ahead = signal("s-1");
        ahead.observed_at = Some(Wire {
            seconds: 1_780_000_301,
            nanos: 0,
        });
        let admitted = batch(good_batch(vec![ahead, signal("s-2")]), &node(), NOW).unwrap();
        assert_eq!((admitted.wire.len(), admitted.future), (2, 1));
    }

    #[test]
    fn refuses_a_batch_outside_the_protocol() {
        for (start_id, sequence) in [(0, 1), (7, 0), (7, u64::MAX)] {
            let bad = v1::SignalBatch {
                start_id,
                sequence,
                ..Default::default()
            };
            let refusal = batch(bad, &node(), NOW).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::InvalidArgument);
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_loses_no_count_on_any_batch_that_decodes(
            bytes in proptest::collection::vec(any::<u8>(), 0..1024),
        ) {
            if let Ok(wire) = v1::SignalBatch::decode(bytes.as_slice()) {
                let sent = wire.signals.len() as u64;
                if let Ok(admitted) = batch(wire, &node(), NOW) {
                    let refused: u64 = admitted.refused.iter().map(|loss| loss.count).sum();
                    prop_assert_eq!(admitted.wire.len() as u64 + refused, sent);
                }
            }
        }
    }
}
