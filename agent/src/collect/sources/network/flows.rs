//! TCP connections by owner and peer: gathers what is counted each second until there is a failure to tell of, or ten
//! seconds are over.

use std::collections::{BTreeMap, HashMap};

use aya::{Ebpf, maps::MapError};
use inquest_agent_abi::{Counted, FlowCounts, FlowKey, OtherFlowsKey, names};
use inquest_proto::v1::{self, TcpFlow, TcpFlows, signal::Body, tcp_flow::Direction};
use tracing::debug;

use super::super::namespaces::{PortShortage, ShortageDesk};
use super::Window;
use crate::{
    attribute::Attributor,
    collect::{
        address::socket_address,
        counted::{CountedMap, Generations},
        ring_buffer::OpenError,
    },
    decode,
    kernel::ResetReasons,
    syscalls::errno_name,
};

/// Longest time for which connections without a failure are gathered.
const GATHERED_NS: u64 = 10_000_000_000;
/// Flows gathered at most, of all owners together; with more, all of them are told at once. Some 300 bytes each.
const MAX_GATHERED: usize = 8192;
/// Flows told in one signal; more of one owner make several.
const MAX_FLOWS: usize = 256;

/// An owner of connections: network namespace and cgroup.
type Owner = (u32, u64);

/// The maps of connections, and what they told since it was handed on.
pub(super) struct Flows {
    map: CountedMap<FlowKey, FlowCounts>,
    others: CountedMap<OtherFlowsKey, u64>,
    reasons: ResetReasons,
    /// `None` when nobody looks into them.
    shortage_desk: Option<ShortageDesk>,
    gathered: BTreeMap<Owner, Gathered>,
    /// At the next reading, whether or not it is time to.
    all_due: bool,
}

/// What one owner's connections did.
#[derive(Debug)]
struct Gathered {
    start_ktime_ns: u64,
    /// By what makes them the same: the key with a generation of 0.
    flows: HashMap<FlowKey, FlowCounts>,
    other_peers: u64,
    has_failure: bool,
}

impl Flows {
    /// Takes the maps out of `ebpf`.
    pub(super) fn open(
        ebpf: &mut Ebpf,
        reasons: ResetReasons,
        shortage_desk: Option<ShortageDesk>,
    ) -> Result<Self, OpenError> {
        Ok(Self {
            map: CountedMap::open(ebpf, Counted::Flows, names::FLOWS)?,
            others: CountedMap::open(ebpf, Counted::OtherFlows, names::OTHER_FLOWS)?,
            reasons,
            shortage_desk,
            gathered: BTreeMap::new(),
            all_due: false,
        })
    }

    /// Returns what is to be told by now.
    pub(super) fn read(
        &mut self,
        generations: &mut Generations,
        window: Window,
        attributor: &mut Attributor,
    ) -> Vec<v1::Signal> {
        let flows = or_none(self.map.drain(generations));
        let others = or_none(self.others.drain(generations));
        self.report_shortages(&flows, window);
        gather(&mut self.gathered, &flows, &others, window);
        let mut signals = Vec::new();
        let due = if std::mem::take(&mut self.all_due) {
            std::mem::take(&mut self.gathered)
        } else {
            take_due(&mut self.gathered, window.end_ktime_ns)
        };
        for ((netns, cgroup), gathered) in due {
            let subject = attributor.netns_subject(netns, cgroup, window.end_ktime_ns);
            let start = attributor.wall(gathered.start_ktime_ns);
            for body in self.bodies(gathered) {
                let body = TcpFlows {
                    start: Some(start),
                    netns: u64::from(netns),
                    ..body
                };
                let body = Body::TcpFlows(body);
                signals.push(attributor.signal(window.end_ktime_ns, subject.clone(), body));
            }
        }
        signals
    }

    /// Has all that is gathered told at the next reading.
    pub(super) fn tell_all(&mut self) {
        self.all_due = true;
    }

    /// Hands in who found no local port, one shortage for each owner.
    fn report_shortages(&self, flows: &[(FlowKey, FlowCounts)], window: Window) {
        if let Some(desk) = &self.shortage_desk {
            for shortage in shortages(flows, window) {
                desk.look_into(shortage);
            }
        }
    }

    /// Returns as many bodies as it takes, the other peers in the first.
    fn bodies(&self, gathered: Gathered) -> Vec<TcpFlows> {
        let mut flows: Vec<TcpFlow> = gathered
            .flows
            .iter()
            .map(|(key, counts)| wire_flow(key, counts, &self.reasons))
            .collect();
        flows.sort_by_key(|flow| std::cmp::Reverse(flow.attempts));
        let mut bodies: Vec<TcpFlows> = flows
            .chunks(MAX_FLOWS)
            .map(|flows| TcpFlows {
                flows: flows.to_vec(),
                ..TcpFlows::default()
            })
            .collect();
        if bodies.is_empty() {
            bodies.push(TcpFlows::default());
        }
        if let Some(first) = bodies.first_mut() {
            first.other_peers = gathered.other_peers;
        }
        bodies
    }
}

/// Returns who found no local port, with the peer that most of them went to.
fn shortages(flows: &[(FlowKey, FlowCounts)], window: Window) -> Vec<PortShortage> {
    let mut owners: BTreeMap<Owner, (PortShortage, u64)> = BTreeMap::new();
    for (key, counts) in flows.iter().filter(|(_, counts)| counts.without_port > 0) {
        let (shortage, most) = owners.entry((key.netns, key.cgroup)).or_insert_with(|| {
            let shortage = PortShortage {
                netns: key.netns,
                cgroup: key.cgroup,
                start_ktime_ns: window.start_ktime_ns,
                exhausted: 0,
                peer: None,
            };
            (shortage, 0)
        });
        shortage.exhausted += counts.without_port;
        if counts.without_port > *most {
            *most = counts.without_port;
            shortage.peer = socket_address(key.ip_version, key.peer, key.port);
        }
    }
    owners.into_values().map(|(shortage, _)| shortage).collect()
}

/// Returns what was taken out, nothing when the map cannot be read now.
fn or_none<T>(taken: Result<Vec<T>, MapError>) -> Vec<T> {
    taken.unwrap_or_else(|error| {
        debug!(%error, "failed to read the map of connections");
        Vec::new()
    })
}

fn gather(
    gathered: &mut BTreeMap<Owner, Gathered>,
    flows: &[(FlowKey, FlowCounts)],
    others: &[(OtherFlowsKey, u64)],
    window: Window,
) {
    let begin = || Gathered {
        start_ktime_ns: window.start_ktime_ns,
        flows: HashMap::new(),
        other_peers: 0,
        has_failure: false,
    };
    for (key, counts) in flows {
        let owner = gathered
            .entry((key.netns, key.cgroup))
            .or_insert_with(begin);
        owner.has_failure |= is_failure(counts);
        let key = FlowKey {
            generation: 0,
            ..*key
        };
        let sum = owner.flows.entry(key).or_insert(FlowCounts::ZERO);
        add(sum, counts);
    }
    for (key, count) in others {
        let owner = gathered
            .entry((key.netns, key.cgroup))
            .or_insert_with(begin);
        owner.other_peers += count;
    }
}

/// Takes out those that have a failure to tell of or were gathered for long enough; all, when they are too many.
fn take_due(gathered: &mut BTreeMap<Owner, Gathered>, ktime_ns: u64) -> BTreeMap<Owner, Gathered> {
    let flows: usize = gathered.values().map(|owner| owner.flows.len()).sum();
    if flows > MAX_GATHERED {
        return std::mem::take(gathered);
    }
    let is_due = |owner: &Gathered| {
        owner.has_failure || ktime_ns.saturating_sub(owner.start_ktime_ns) >= GATHERED_NS
    };
    let (due, waiting) = std::mem::take(gathered)
        .into_iter()
        .partition(|(_, owner)| is_due(owner));
    *gathered = waiting;
    due
}

/// Whether somebody did not get what was asked for, or does not get it for now.
fn is_failure(counts: &FlowCounts) -> bool {
    let failures = [
        counts.refused,
        counts.timed_out,
        counts.reset,
        counts.unreachable,
        counts.failed_otherwise,
        counts.syn_retransmits,
    ];
    // Connections that end are reset for many reasons; where there is none, somebody asked in vain.
    let asked_in_vain = counts.resets_sent > 0 && counts.established == 0;
    asked_in_vain || failures.iter().any(|count| *count > 0)
}

fn add(sum: &mut FlowCounts, counts: &FlowCounts) {
    let later = |new: u32, none: u32, old: u32| if new == none { old } else { new };
    let comm = if counts.comm[0] == 0 {
        sum.comm
    } else {
        counts.comm
    };
    *sum = FlowCounts {
        attempts: sum.attempts + counts.attempts,
        established: sum.established + counts.established,
        refused: sum.refused + counts.refused,
        timed_out: sum.timed_out + counts.timed_out,
        reset: sum.reset + counts.reset,
        unreachable: sum.unreachable + counts.unreachable,
        failed_otherwise: sum.failed_otherwise + counts.failed_otherwise,
        without_port: sum.without_port + counts.without_port,
        connect_latency_sum_ns: sum.connect_latency_sum_ns + counts.connect_latency_sum_ns,
        connect_latency_max_ns: sum
            .connect_latency_max_ns
            .max(counts.connect_latency_max_ns),
        syn_retransmits: sum.syn_retransmits + counts.syn_retransmits,
        retransmits: sum.retransmits + counts.retransmits,
        srtt_sum_us: sum.srtt_sum_us + counts.srtt_sum_us,
        srtt_samples: sum.srtt_samples + counts.srtt_samples,
        bytes_sent: sum.bytes_sent + counts.bytes_sent,
        bytes_received: sum.bytes_received + counts.bytes_received,
        resets_sent: sum.resets_sent + counts.resets_sent,
        resets_received: sum.resets_received + counts.resets_received,
        other_errno: later(counts.other_errno, 0, sum.other_errno),
        reset_reason: later(counts.reset_reason, FlowCounts::NO_REASON, sum.reset_reason),
        comm,
    };
}

/// Returns the name of an error, nothing for none.
fn errno(number: u32) -> String {
    if number == 0 {
        return String::new();
    }
    errno_name(number)
}

fn wire_flow(key: &FlowKey, counts: &FlowCounts, reasons: &ResetReasons) -> TcpFlow {
    let direction = match key.direction {
        FlowKey::OUT => Direction::Out,
        FlowKey::IN => Direction::In,
        _ => Direction::Unspecified,
    };
    TcpFlow {
        direction: direction.into(),
        peer: socket_address(key.ip_version, key.peer, key.port),
        attempts: counts.attempts,
        established: counts.established,
        refused: counts.refused,
        timed_out: counts.timed_out,
        reset: counts.reset,
        unreachable: counts.unreachable,
        failed_otherwise: counts.failed_otherwise,
        other_errno: errno(counts.other_errno),
        connect_latency_sum_ns: counts.connect_latency_sum_ns,
        connect_latency_max_ns: counts.connect_latency_max_ns,
        syn_retransmits: counts.syn_retransmits,
        retransmits: counts.retransmits,
        srtt_sum_us: counts.srtt_sum_us,
        srtt_samples: counts.srtt_samples,
        bytes_sent: counts.bytes_sent,
        bytes_received: counts.bytes_received,
        resets_sent: counts.resets_sent,
        resets_received: counts.resets_received,
        reset_reason: reasons.name(counts.reset_reason),
        comm: decode::text(&counts.comm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn key(cgroup: u64, port: u16, generation: u32) -> FlowKey {
        FlowKey {
            cgroup,
            peer: [10; 16],
            netns: 7,
            generation,
            port,
            ip_version: 4,
            direction: FlowKey::OUT,
            reserved: 0,
        }
    }

    fn window(second: u64) -> Window {
        Window {
            start_ktime_ns: second * SECOND,
            end_ktime_ns: (second + 1) * SECOND,
        }
    }

    const GOOD: FlowCounts = FlowCounts {
        attempts: 1,
        established: 1,
        connect_latency_max_ns: 5,
        ..FlowCounts::ZERO
    };
    const REFUSED: FlowCounts = FlowCounts {
        attempts: 2,
        refused: 2,
        connect_latency_max_ns: 9,
        reset_reason: 3,
        ..FlowCounts::ZERO
    };

    #[test]
    fn tells_a_failure_at_once_with_what_was_gathered_before_it() {
        let mut gathered = BTreeMap::new();
        gather(
            &mut gathered,
            &[(key(1, 80, 0), GOOD), (key(2, 80, 0), GOOD)],
            &[],
            window(1),
        );
        assert!(take_due(&mut gathered, 2 * SECOND).is_empty());
        gather(&mut gathered, &[(key(1, 80, 1), REFUSED)], &[], window(2));
        let due = take_due(&mut gathered, 3 * SECOND);
        assert_eq!(due.keys().collect::<Vec<_>>(), [&(7, 1)]);
        let flow = due[&(7, 1)].flows[&key(1, 80, 0)];
        assert_eq!((flow.attempts, flow.established, flow.refused), (3, 1, 2));
        assert_eq!((flow.connect_latency_max_ns, flow.reset_reason), (9, 3));
        assert_eq!(gathered.len(), 1, "another owner's wait");
    }

    #[test]
    fn finds_who_had_no_port_and_where_to_most_of_them_went() {
        let without = |without_port| FlowCounts {
            without_port,
            ..FlowCounts::ZERO
        };
        let flows = [
            (key(1, 80, 0), without(2)),
            (key(1, 443, 0), without(5)),
            (key(1, 53, 0), without(1)),
            (key(2, 80, 0), GOOD),
        ];
        let shortages = shortages(&flows, window(1));
        assert_eq!(shortages.len(), 1);
        assert_eq!((shortages[0].cgroup, shortages[0].exhausted), (1, 8));
        assert_eq!(shortages[0].peer.as_ref().unwrap().port, 443);
    }

    #[test]
    fn tells_of_no_failure_after_ten_seconds() {
        let mut gathered = BTreeMap::new();
        let others = OtherFlowsKey {
            cgroup: 1,
            netns: 7,
            generation: 0,
        };
        for second in 1..=10 {
            assert!(take_due(&mut gathered, second * SECOND).is_empty());
            gather(
                &mut gathered,
                &[(key(1, 80, 0), GOOD)],
                &[(others, 2)],
                window(second),
            );
        }
        let due = take_due(&mut gathered, 11 * SECOND);
        assert_eq!(due[&(7, 1)].flows[&key(1, 80, 0)].attempts, 10);
        assert_eq!(due[&(7, 1)].other_peers, 20);
    }

    #[test]
    fn gathers_no_more_than_its_bound() {
        let mut gathered = BTreeMap::new();
        for port in 0..=MAX_GATHERED as u16 {
            gather(&mut gathered, &[(key(1, port, 0), GOOD)], &[], window(1));
        }
        assert_eq!(take_due(&mut gathered, SECOND).len(), 1);
        assert!(gathered.is_empty());
    }
}
