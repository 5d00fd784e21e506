//! Addresses on the link that nobody answered for, by network namespace. Must not judge who should have.

use std::collections::BTreeMap;

use aya::Ebpf;
use inquest_agent_abi::{Counted, NeighborCount, NeighborKey, names};
use inquest_proto::v1::{self, NeighborFailure, NeighborFailures, signal::Body};
use tracing::debug;

use super::Window;
use crate::{
    attribute::Attributor,
    collect::{
        address::ip_address,
        counted::{CountedMap, Generations},
        ring_buffer::OpenError,
    },
    decode,
};

/// Addresses told in one signal; more of one namespace make several.
const MAX_ADDRESSES: usize = 256;

/// The map of addresses.
pub(super) struct Neighbors(CountedMap<NeighborKey, NeighborCount>);

impl Neighbors {
    /// Takes the map out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        let which = Counted::NeighborFailures;
        CountedMap::open(ebpf, which, names::NEIGHBOR_FAILURES).map(Self)
    }

    /// Returns who was given up, by network namespace.
    pub(super) fn read(
        &mut self,
        generations: &mut Generations,
        window: Window,
        attributor: &mut Attributor,
    ) -> Vec<v1::Signal> {
        let counted = match self.0.drain(generations) {
            Ok(counted) => counted,
            Err(error) => {
                debug!(%error, "failed to read the map of neighbors that did not answer");
                return Vec::new();
            }
        };
        let mut signals = Vec::new();
        for (netns, failures) in by_namespace(&counted) {
            // Nobody's packets in particular: those of the whole namespace wait for the address.
            let subject = attributor.netns_subject(netns, 0, window.end_ktime_ns);
            for failures in failures.chunks(MAX_ADDRESSES) {
                let body = NeighborFailures {
                    start: Some(attributor.wall(window.start_ktime_ns)),
                    netns: u64::from(netns),
                    failures: failures.to_vec(),
                };
                let body = Body::NeighborFailures(body);
                signals.push(attributor.signal(window.end_ktime_ns, subject.clone(), body));
            }
        }
        signals
    }
}

fn by_namespace(counted: &[(NeighborKey, NeighborCount)]) -> BTreeMap<u32, Vec<NeighborFailure>> {
    let mut namespaces: BTreeMap<u32, Vec<NeighborFailure>> = BTreeMap::new();
    for (key, count) in counted {
        let Some(address) = ip_address(key.ip_version, key.address) else {
            continue;
        };
        namespaces
            .entry(key.netns)
            .or_default()
            .push(NeighborFailure {
                address: address.to_string(),
                interface: decode::text(&count.interface),
                count: count.failures,
            });
    }
    namespaces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(netns: u32, ip_version: u8, first: u8) -> (NeighborKey, NeighborCount) {
        let mut address = [0; 16];
        (address[0], address[3]) = (first, 9);
        let key = NeighborKey {
            address,
            netns,
            interface: 2,
            generation: 0,
            ip_version,
            reserved: [0; 3],
        };
        let mut interface = [0; 16];
        interface[..4].copy_from_slice(b"eth0");
        let failures = 3;
        (
            key,
            NeighborCount {
                failures,
                interface,
            },
        )
    }

    #[test]
    fn tells_addresses_of_both_families_apart_by_namespace() {
        let told = by_namespace(&[failed(1, 4, 10), failed(2, 6, 0xfd), failed(1, 4, 11)]);
        let addresses = |netns| -> Vec<_> {
            let failures = told.get(&netns).into_iter().flatten();
            failures
                .map(|failure| {
                    (
                        failure.address.as_str(),
                        failure.interface.as_str(),
                        failure.count,
                    )
                })
                .collect()
        };
        assert_eq!(
            addresses(1),
            [("10.0.0.9", "eth0", 3), ("11.0.0.9", "eth0", 3)]
        );
        assert_eq!(addresses(2), [("fd00:9::", "eth0", 3)]);
    }
}
