//! Dropped packets: names their reasons and places, and tells them apart by whom they concern.

use std::collections::BTreeMap;

use aya::Ebpf;
use inquest_agent_abi::{Counted, DropCount, DropKey, names};
use inquest_proto::v1::{self, PacketDrop, PacketDrops, signal::Body};
use tracing::debug;

use super::{Window, protocol_name};
use crate::{
    attribute::Attributor,
    collect::{
        address::socket_address,
        counted::{CountedMap, Generations},
        kernel_symbols::KernelSymbols,
        ring_buffer::OpenError,
    },
    decode,
    kernel::DropReasons,
};

/// Flows told one by one in a signal, those with the most packets; the others are summed by reason and place.
const MAX_FLOWS: usize = 128;
/// The reason of a packet that a firewall rule dropped, and where kernels without that reason drop it.
const NETFILTER_REASON: &str = "NETFILTER_DROP";
const NETFILTER_LOCATION: &str = "nf_hook_slow";
/// Where kernels that give no reasons drop what nobody loses: queues of sockets that close, what was received before.
const IGNORED_LOCATIONS: &[&str] = &[
    "__sk_defer_free_flush",
    "inet_sock_destruct",
    "sk_stream_kill_queues",
    "skb_queue_purge",
    "skb_rbtree_purge",
    "tcp_ack",
    "tcp_data_queue",
    "tcp_write_queue_purge",
    "unix_release_sock",
];

/// The map of drops and what names them.
pub(super) struct Drops {
    map: CountedMap<DropKey, DropCount>,
    reasons: DropReasons,
    symbols: KernelSymbols,
}

impl Drops {
    /// Takes the map out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf, reasons: DropReasons) -> Result<Self, OpenError> {
        Ok(Self {
            map: CountedMap::open(ebpf, Counted::Drops, names::DROPS)?,
            reasons,
            symbols: KernelSymbols::default(),
        })
    }

    /// Returns what was dropped, one signal for each network namespace and owner.
    pub(super) fn read(
        &mut self,
        generations: &mut Generations,
        window: Window,
        attributor: &mut Attributor,
    ) -> Vec<v1::Signal> {
        let counted = match self.map.drain(generations) {
            Ok(counted) => counted,
            Err(error) => {
                debug!(%error, "failed to read the map of dropped packets");
                return Vec::new();
            }
        };
        self.symbols
            .learn(counted.iter().map(|(key, _)| key.location));
        let mut by_owner: BTreeMap<(u32, u64), Vec<PacketDrop>> = BTreeMap::new();
        for (key, count) in &counted {
            if let Some(drop) = self.told(key, count) {
                let owner = (key.netns, key.cgroup);
                by_owner.entry(owner).or_default().push(drop);
            }
        }
        let signals = by_owner.into_iter().map(|((netns, cgroup), drops)| {
            let subject = attributor.netns_subject(netns, cgroup, window.end_ktime_ns);
            let body = PacketDrops {
                start: Some(attributor.wall(window.start_ktime_ns)),
                netns: u64::from(netns),
                drops: shortened(drops),
            };
            attributor.signal(window.end_ktime_ns, subject, Body::PacketDrops(body))
        });
        signals.collect()
    }

    /// Returns the wire form of a count, `None` for one that is nobody's loss.
    fn told(&self, key: &DropKey, count: &DropCount) -> Option<PacketDrop> {
        let location = self.symbols.name(key.location);
        let reason = if key.reason == DropKey::NO_REASON {
            if IGNORED_LOCATIONS.contains(&location) {
                return None;
            }
            String::new()
        } else {
            self.reasons.name(key.reason)
        };
        let is_ip = key.ip_version != 0;
        let address = |bytes, port| socket_address(key.ip_version, bytes, port);
        Some(PacketDrop {
            netfilter: reason == NETFILTER_REASON || location == NETFILTER_LOCATION,
            reason,
            location: location.to_owned(),
            protocol: if is_ip {
                protocol_name(key.protocol)
            } else {
                String::new()
            },
            source: address(key.source, count.source_port),
            destination: address(key.destination, key.destination_port),
            interface: decode::text(&count.interface),
            count: count.packets,
            bytes: count.bytes,
        })
    }
}

/// Keeps the largest as they are and sums up the others by reason and place, so that no packet is left out.
fn shortened(mut drops: Vec<PacketDrop>) -> Vec<PacketDrop> {
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.count));
    let others = drops.split_off(drops.len().min(MAX_FLOWS));
    let mut sums: BTreeMap<(String, String), PacketDrop> = BTreeMap::new();
    for other in others {
        let sum = sums
            .entry((other.reason.clone(), other.location.clone()))
            .or_insert_with(|| PacketDrop {
                reason: other.reason,
                location: other.location,
                netfilter: other.netfilter,
                ..PacketDrop::default()
            });
        sum.count += other.count;
        sum.bytes += other.bytes;
    }
    drops.extend(sums.into_values());
    drops
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop(reason: &str, location: &str, count: u64) -> PacketDrop {
        PacketDrop {
            reason: reason.to_owned(),
            location: location.to_owned(),
            protocol: "udp".to_owned(),
            count,
            bytes: count * 10,
            ..PacketDrop::default()
        }
    }

    #[test]
    fn keeps_the_sum_of_a_storm_and_the_largest_flows_of_it() {
        let mut drops: Vec<_> = (1..=1000)
            .map(|count| drop(["A", "B"][count as usize % 2], "here", count))
            .collect();
        drops.push(drop("A", "there", 1));
        let packets = |drops: &[PacketDrop]| drops.iter().map(|drop| drop.count).sum::<u64>();
        let before = packets(&drops);
        let shortened = shortened(drops);
        assert_eq!(packets(&shortened), before);
        assert_eq!(shortened.len(), MAX_FLOWS + 3);
        assert_eq!((shortened[0].count, shortened[127].count), (1000, 873));
        assert!(shortened[128..].iter().all(|sum| sum.protocol.is_empty()));
    }

    #[test]
    fn leaves_few_as_they_are() {
        let few = vec![drop("A", "here", 2), drop("B", "here", 1)];
        assert_eq!(shortened(few.clone()), few);
        assert!(shortened(Vec::new()).is_empty());
    }
}
