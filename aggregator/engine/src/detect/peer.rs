//! How the connections of a workload to each of its peers went. Must not say which side is at fault.

use std::collections::BTreeMap;
use std::time::Duration;

use super::claim::last_spell;
use crate::correlate::case::Case;
use crate::correlate::death::Observed;
use crate::explain::address::socket;
use crate::explain::clock::duration;
use crate::explain::facts::Fact;
use crate::explain::quantity::count;
use crate::explain::quote::clean;
use crate::model::Timestamp;
use crate::model::signal::{Direction, SocketAddress, TcpFlow, TcpFlows};

/// The windows in which connections to one peer failed, since the last pause.
#[derive(Debug)]
pub(super) struct Peer<'a> {
    pub(super) address: &'a SocketAddress,
    /// Oldest first, never empty.
    pub(super) failing: Vec<Observed<'a, TcpFlows>>,
    /// Connections that were established in that time.
    pub(super) established: u64,
    /// The other family of addresses answered in that time: see [`Answers`].
    pub(super) twin_answers: bool,
}

/// The peers that the workload connected to in vain, those with most failures first.
pub(super) fn failing<'a>(case: &Case<'a>) -> Vec<Peer<'a>> {
    let mut windows: BTreeMap<&SocketAddress, Vec<Observed<'a, TcpFlows>>> = BTreeMap::new();
    for observed in case.troubles.of::<TcpFlows>() {
        for flow in outgoing(observed.record) {
            windows.entry(&flow.peer).or_default().push(observed);
        }
    }
    let mut peers: Vec<Peer<'a>> = windows
        .iter()
        .filter_map(|(address, windows)| Peer::of(address, windows))
        .collect();
    let answers = Answers::of(case);
    for peer in &mut peers {
        let since = peer.failing.first().map(|window| window.at);
        peer.twin_answers = answers.by_twin_of(peer.address, since.unwrap_or_default());
    }
    // Stable: peers with equally many failures stay in the order of their addresses.
    peers.sort_by_key(|peer| std::cmp::Reverse(peer.failures()));
    peers
}

/// When connections were last established, by port and family of addresses. A program that knows a service
/// by name tries its addresses of both families, and most servers listen in one only.
pub(super) struct Answers(BTreeMap<(u32, Family), Timestamp>);

/// The two families of addresses.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn of(address: &SocketAddress) -> Self {
        if address.address.contains(':') {
            Self::V6
        } else {
            Self::V4
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

impl Answers {
    /// Of a case's workload.
    pub(super) fn of(case: &Case<'_>) -> Self {
        let mut newest = BTreeMap::new();
        for window in case.troubles.of::<TcpFlows>() {
            let flows = outgoing(window.record);
            for flow in flows.filter(|flow| flow.established > 0) {
                let key = (flow.peer.port, Family::of(&flow.peer));
                // Windows come oldest first.
                newest.insert(key, window.at);
            }
        }
        Self(newest)
    }

    /// Whether an address of the other family answered at the same port, at `since` or later.
    pub(super) fn by_twin_of(&self, address: &SocketAddress, since: Timestamp) -> bool {
        let twin = (address.port, Family::of(address).other());
        self.0.get(&twin).is_some_and(|newest| *newest >= since)
    }
}

/// The flows by which the cgroup connected to others.
pub(super) fn outgoing(flows: &TcpFlows) -> impl Iterator<Item = &TcpFlow> {
    let flows = flows.flows.iter();
    flows.filter(|flow| flow.direction == Direction::Out)
}

impl<'a> Peer<'a> {
    fn of(address: &'a SocketAddress, windows: &[Observed<'a, TcpFlows>]) -> Option<Self> {
        let failures = |of: &Observed<'_, TcpFlows>| -> u64 {
            outgoing(of.record)
                .filter(|flow| flow.peer == *address)
                .map(failures)
                .sum()
        };
        let failing: Vec<_> = windows
            .iter()
            .copied()
            .filter(|window| failures(window) > 0)
            .collect();
        let failing = last_spell(&failing).to_vec();
        let since = failing.first()?.at;
        let during = windows.iter().filter(|window| window.at >= since);
        let established = during
            .flat_map(|window| outgoing(window.record))
            .filter(|flow| flow.peer == *address)
            .map(|flow| flow.established)
            .sum();
        Some(Self {
            address,
            failing,
            established,
            twin_answers: false,
        })
    }

    /// Connections that came to nothing.
    pub(super) fn failures(&self) -> u64 {
        self.flows().map(failures).sum()
    }

    /// How long they have been failing.
    pub(super) fn lasts(&self) -> Duration {
        match (self.failing.first(), self.failing.last()) {
            (Some(first), Some(last)) => last.at.since(first.record.start),
            _ => Duration::ZERO,
        }
    }

    /// How most of them failed, as texts say it.
    pub(super) fn outcome(&self) -> Outcome {
        let mut sums = [0_u64; Outcome::ALL.len()];
        for flow in self.flows() {
            for (sum, outcome) in sums.iter_mut().zip(Outcome::ALL) {
                *sum += outcome.count(flow);
            }
        }
        let most = sums.iter().max().copied().unwrap_or_default();
        let index = sums.iter().position(|sum| *sum == most);
        index
            .and_then(|index| Outcome::ALL.get(index).copied())
            .unwrap_or(Outcome::Unanswered)
    }

    /// One window as a fact of its case.
    pub(super) fn fact(&self, case: &Case<'_>, window: Observed<'_, TcpFlows>) -> Fact {
        let flows = || outgoing(window.record).filter(|flow| flow.peer == *self.address);
        let attempts = flows().map(|flow| flow.attempts).sum();
        let outcomes: Vec<String> = Outcome::ALL
            .into_iter()
            .map(|outcome| {
                (
                    outcome,
                    flows().map(|flow| outcome.count(flow)).sum::<u64>(),
                )
            })
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| format!("{count} {}", outcome.participle()))
            .collect();
        let comm = flows()
            .map(|flow| flow.comm.as_str())
            .find(|comm| !comm.is_empty());
        let by = comm.map_or(String::new(), |comm| format!(" by {}", clean(comm)));
        let text = format!(
            "{}: {}{by} to {} within {}: {}",
            case.subject(),
            count(attempts, "connection"),
            socket(self.address),
            duration(window.at.since(window.record.start)),
            outcomes.join(", ")
        );
        case.sign(window, text)
    }

    /// The process that connected last.
    pub(super) fn comm(&self) -> Option<String> {
        let last = self.flows().last()?;
        (!last.comm.is_empty()).then(|| clean(&last.comm))
    }

    fn flows(&self) -> impl Iterator<Item = &TcpFlow> {
        let windows = self.failing.iter();
        windows
            .flat_map(|window| outgoing(window.record))
            .filter(|flow| flow.peer == *self.address)
    }
}

/// How a connection came to nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Refused,
    TimedOut,
    Reset,
    Unreachable,
    /// The program gave up first, after the kernel had asked again.
    Unanswered,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Refused,
        Self::TimedOut,
        Self::Reset,
        Self::Unreachable,
        Self::Unanswered,
    ];

    fn count(self, flow: &TcpFlow) -> u64 {
        match self {
            Self::Refused => flow.refused,
            Self::TimedOut => flow.timed_out,
            Self::Reset => flow.reset,
            Self::Unreachable => flow.unreachable,
            Self::Unanswered => unanswered(flow),
        }
    }

    pub(super) const fn participle(self) -> &'static str {
        match self {
            Self::Refused => "refused (ECONNREFUSED)",
            Self::TimedOut => "timed out (ETIMEDOUT)",
            Self::Reset => "reset (ECONNRESET)",
            Self::Unreachable => "unreachable",
            Self::Unanswered => "given up without an answer",
        }
    }

    /// The errno that a program gets.
    pub(super) const fn of_errno(errno: &str) -> Option<Self> {
        Some(match errno.as_bytes() {
            b"ECONNREFUSED" => Self::Refused,
            b"ETIMEDOUT" => Self::TimedOut,
            b"ECONNRESET" => Self::Reset,
            b"EHOSTUNREACH" | b"ENETUNREACH" | b"EHOSTDOWN" => Self::Unreachable,
            _ => return None,
        })
    }

    /// Whether nothing came back, so that packets may have been dropped on the way.
    pub(super) const fn is_silence(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unanswered)
    }
}

fn failures(flow: &TcpFlow) -> u64 {
    Outcome::ALL.iter().map(|outcome| outcome.count(flow)).sum()
}

/// Attempts of which the window knows no end, when the kernel had to ask again.
fn unanswered(flow: &TcpFlow) -> u64 {
    let known = [
        flow.established,
        flow.refused,
        flow.timed_out,
        flow.reset,
        flow.unreachable,
        flow.failed_otherwise,
    ];
    let ended = known.into_iter().fold(0, u64::saturating_add);
    let open = flow.attempts.saturating_sub(ended);
    // A connection that was closed by an interrupted or cancelled connect counts as failed otherwise.
    open.saturating_add(flow.failed_otherwise)
        .min(flow.syn_retransmits)
}
