//! `packet-loss`: connections of a workload must send much again. Must not hold for a few packets, nor for
//! connections that are never answered, which a dependency explains better.

use super::claim::{Claim, cited, last_spell};
use super::{Detector, Verdict};
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::correlate::workload::Domain;
use crate::explain::address::socket;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::{bytes, count};
use crate::model::signal::{TcpFlow, TcpFlows};
use crate::rank::Strength;

/// Any network loses some packets.
const MIN_RETRANSMITS: u64 = 100;

/// Sent again of so many hundred packets; TCP slows to a crawl beyond a few per cent.
const MIN_PERCENT: u64 = 3;

/// Bytes of a full packet, by which the number of packets is told from the bytes.
const PACKET_BYTES: u64 = 1448;

/// Finds lossy ways.
pub(super) struct PacketLoss;

impl Detector for PacketLoss {
    fn cause(&self) -> &'static str {
        "packet-loss"
    }

    fn domain(&self) -> Domain {
        Domain::Network
    }

    fn detect(&self, case: &Case<'_>) -> Verdict {
        if case.death().is_some() {
            return Verdict::Silent;
        }
        let all = case.troubles.of::<TcpFlows>();
        let lossy: Vec<_> = all
            .into_iter()
            .filter(|window| worst(window.record).is_some_and(|flow| flow.retransmits > 0))
            .collect();
        let spell = last_spell(&lossy);
        let flows = || spell.iter().flat_map(|window| &window.record.flows);
        let again: u64 = flows().map(|flow| flow.retransmits).sum();
        let sent: u64 = flows()
            .map(|flow| flow.bytes_sent / PACKET_BYTES + flow.retransmits)
            .sum();
        let (Some(first), Some(newest)) = (spell.first(), spell.last()) else {
            return Verdict::Silent;
        };
        if again < MIN_RETRANSMITS || again * 100 < sent * MIN_PERCENT {
            return Verdict::Silent;
        }
        let who = case.subject();
        let peer = worst(first.record)
            .map(|flow| socket(&flow.peer))
            .unwrap_or_default();
        let strength = Strength {
            prior: 0.9,
            specificity: 0.9,
            directness: 1.0,
        };
        Claim {
            signs: cited(case, spell).iter().map(|window| fact(case, *window)).collect(),
            until: newest.at,
            what: "packets were lost".to_owned(),
            headline: format!("{who} loses packets on the way to {peer}"),
            explanation: "Its connections are established and must send a good part of their packets again: they \
                          are lost on the way, or their acknowledgements are."
                .to_owned(),
            impact: format!("whatever {who} sends takes several times as long"),
            remediation: vec![
                "see whether other workloads of the node lose too: then it is the node's link, else the way to this peer".to_owned(),
                "look for drops on the interfaces of the way: ip -s link, ethtool -S, tc -s qdisc".to_owned(),
            ],
            ..Claim::of(case, self.cause(), strength)
        }
        .holds(case)
    }
}

fn worst(window: &TcpFlows) -> Option<&TcpFlow> {
    let flows = window
        .flows
        .iter()
        .filter(|flow| flow.established > 0 || flow.bytes_sent > 0);
    flows.max_by_key(|flow| (flow.retransmits, std::cmp::Reverse(&flow.peer)))
}

fn fact(case: &Case<'_>, window: Observed<'_, TcpFlows>) -> Fact {
    let worst = worst(window.record);
    let text = format!(
        "{}: {} within {}, most of them to {}, to which {} were sent",
        case.subject(),
        count(
            window
                .record
                .flows
                .iter()
                .map(|flow| flow.retransmits)
                .sum(),
            "retransmission"
        ),
        duration(window.at.since(window.record.start)),
        worst.map(|flow| socket(&flow.peer)).unwrap_or_default(),
        bytes(worst.map_or(0, |flow| flow.bytes_sent))
    );
    case.sign(window, text)
}

#[cfg(test)]
mod tests {
    use crate::model::{Severity, Signal};
    use crate::testing::Actor;
    use crate::testing::scenario::{Nature, Scenario, stands};
    use crate::testing::signs::{database, flow};

    const SCENARIO: Scenario = Scenario {
        cause: "packet-loss",
        severity: Severity::Warning,
        nature: Nature::Condition,
        signals,
        supports: &[1, 2],
        look_alikes,
    };

    fn lossy(id: &str, ms: i64, retransmits: u64) -> Signal {
        let flow = crate::model::signal::TcpFlow {
            retransmits,
            bytes_sent: 1 << 20,
            ..flow(database(), 0, 3)
        };
        Actor::new("shop", 40).flows(id, ms, vec![flow])
    }

    fn signals(round: u32, ms: i64) -> Vec<Signal> {
        vec![
            lossy(&format!("flows-{round}-1"), ms, 80),
            lossy(&format!("flows-{round}-2"), ms + 1000, 90),
        ]
    }

    fn look_alikes() -> Vec<(&'static str, Vec<Signal>)> {
        vec![("a few that any network loses", vec![lossy("f", 0, 4)])]
    }

    stands!(SCENARIO);
}
