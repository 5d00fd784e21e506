//! ICMP errors by network namespace: says what type and code mean. Must not judge whom they concern.

use std::collections::BTreeMap;

use aya::Ebpf;
use inquest_agent_abi::{Counted, IcmpCount, IcmpKey, names};
use inquest_proto::v1::{self, IcmpErrors, signal::Body};
use tracing::debug;

use super::{Window, protocol_name};
use crate::{
    attribute::Attributor,
    collect::{
        address::{ip_address, socket_address},
        counted::{CountedMap, Generations},
        ring_buffer::OpenError,
    },
};

/// Errors told in one signal; more of one namespace make several.
const MAX_ERRORS: usize = 256;

/// What types of ICMP mean, and their codes where they say more (RFC 792, RFC 1122, RFC 1812).
const MEANINGS_V4: &[(u8, Option<u8>, &str)] = &[
    (3, Some(0), "destination unreachable: network unreachable"),
    (3, Some(1), "destination unreachable: host unreachable"),
    (3, Some(2), "destination unreachable: protocol unreachable"),
    (3, Some(3), "destination unreachable: port unreachable"),
    (3, Some(4), "destination unreachable: fragmentation needed"),
    (3, Some(9), "destination unreachable: network prohibited"),
    (3, Some(10), "destination unreachable: host prohibited"),
    (3, Some(13), "destination unreachable: prohibited"),
    (3, None, "destination unreachable"),
    (11, Some(0), "time exceeded: too many hops"),
    (11, Some(1), "time exceeded: fragments missing"),
    (12, None, "parameter problem"),
];

/// The same of ICMPv6 (RFC 4443).
const MEANINGS_V6: &[(u8, Option<u8>, &str)] = &[
    (1, Some(0), "destination unreachable: no route"),
    (1, Some(1), "destination unreachable: prohibited"),
    (1, Some(2), "destination unreachable: beyond scope"),
    (1, Some(3), "destination unreachable: address unreachable"),
    (1, Some(4), "destination unreachable: port unreachable"),
    (1, Some(5), "destination unreachable: source refused"),
    (1, Some(6), "destination unreachable: route rejected"),
    (1, None, "destination unreachable"),
    (2, None, "packet too big"),
    (3, Some(0), "time exceeded: too many hops"),
    (3, Some(1), "time exceeded: fragments missing"),
    (4, None, "parameter problem"),
];

/// The map of errors.
pub(super) struct Icmp(CountedMap<IcmpKey, IcmpCount>);

impl Icmp {
    /// Takes the map out of `ebpf`.
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, OpenError> {
        CountedMap::open(ebpf, Counted::IcmpErrors, names::ICMP_ERRORS).map(Self)
    }

    /// Returns what was sent and received, by network namespace.
    pub(super) fn read(
        &mut self,
        generations: &mut Generations,
        window: Window,
        attributor: &mut Attributor,
    ) -> Vec<v1::Signal> {
        let counted = match self.0.drain(generations) {
            Ok(counted) => counted,
            Err(error) => {
                debug!(%error, "failed to read the map of ICMP errors");
                return Vec::new();
            }
        };
        let mut namespaces: BTreeMap<u32, Vec<v1::IcmpError>> = BTreeMap::new();
        for (key, count) in &counted {
            namespaces
                .entry(key.netns)
                .or_default()
                .push(wire_error(key, count));
        }
        let mut signals = Vec::new();
        for (netns, errors) in namespaces {
            // An error has no socket; the namespace is all that is known.
            let subject = attributor.netns_subject(netns, 0, window.end_ktime_ns);
            for errors in errors.chunks(MAX_ERRORS) {
                let body = IcmpErrors {
                    start: Some(attributor.wall(window.start_ktime_ns)),
                    netns: u64::from(netns),
                    errors: errors.to_vec(),
                };
                let body = Body::IcmpErrors(body);
                signals.push(attributor.signal(window.end_ktime_ns, subject.clone(), body));
            }
        }
        signals
    }
}

fn wire_error(key: &IcmpKey, count: &IcmpCount) -> v1::IcmpError {
    let address = |bytes, port| socket_address(key.ip_version, bytes, port);
    let reporter = ip_address(key.ip_version, key.reporter);
    v1::IcmpError {
        meaning: meaning(key.ip_version, key.kind, key.code),
        r#type: u32::from(key.kind),
        code: u32::from(key.code),
        ip_version: u32::from(key.ip_version),
        source: address(key.source, count.source_port),
        destination: address(key.destination, key.destination_port),
        count: count.errors,
        received: key.received == 1,
        reporter: reporter
            .map(|reporter| reporter.to_string())
            .unwrap_or_default(),
        mtu: key.mtu,
        protocol: if key.protocol == 0 {
            String::new()
        } else {
            protocol_name(key.protocol)
        },
    }
}

fn meaning(ip_version: u8, kind: u8, code: u8) -> String {
    let meanings = if ip_version == 6 {
        MEANINGS_V6
    } else {
        MEANINGS_V4
    };
    let known = meanings.iter().find(|(of_kind, of_code, _)| {
        *of_kind == kind && of_code.is_none_or(|of_code| of_code == code)
    });
    known.map_or_else(
        || format!("type {kind}, code {code}"),
        |(.., meaning)| (*meaning).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_types_and_codes_mean_in_each_version() {
        for (version, kind, code, expected) in [
            (4, 3, 3, "destination unreachable: port unreachable"),
            (4, 3, 15, "destination unreachable"),
            (4, 11, 0, "time exceeded: too many hops"),
            (6, 1, 4, "destination unreachable: port unreachable"),
            (6, 2, 0, "packet too big"),
            (6, 3, 1, "time exceeded: fragments missing"),
            (4, 2, 0, "type 2, code 0"),
        ] {
            assert_eq!(meaning(version, kind, code), expected);
        }
    }

    #[test]
    fn tells_the_packet_that_an_error_is_about_and_who_says_so() {
        let ip = |last| {
            let mut address = [0; 16];
            (address[0], address[3]) = (10, last);
            address
        };
        let key = IcmpKey {
            reporter: ip(254),
            source: ip(1),
            destination: ip(2),
            netns: 7,
            generation: 0,
            mtu: 1400,
            destination_port: 53,
            protocol: 17,
            kind: 3,
            code: 4,
            ip_version: 4,
            received: 1,
            reserved: 0,
        };
        let count = IcmpCount {
            errors: 5,
            source_port: 40_000,
            ..IcmpCount::default()
        };
        let address = |address: &str, port| {
            Some(v1::SocketAddress {
                address: address.to_owned(),
                port,
            })
        };
        let expected = v1::IcmpError {
            meaning: "destination unreachable: fragmentation needed".to_owned(),
            r#type: 3,
            code: 4,
            ip_version: 4,
            source: address("10.0.0.1", 40_000),
            destination: address("10.0.0.2", 53),
            count: 5,
            received: true,
            reporter: "10.0.0.254".to_owned(),
            mtu: 1400,
            protocol: "udp".to_owned(),
        };
        assert_eq!(wire_error(&key, &count), expected);
    }
}
