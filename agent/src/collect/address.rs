//! Turns addresses as the kernel side writes them into those of the wire. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use inquest_proto::v1::SocketAddress;

/// Returns the address of `bytes`, an IPv4 one in the first four; `None` when it is neither of IPv4 nor of IPv6.
pub(crate) fn ip_address(ip_version: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    match (ip_version, bytes) {
        (4, [a, b, c, d, ..]) => Some(Ipv4Addr::new(a, b, c, d).into()),
        // One that is IPv4's in an IPv6 socket is told as what it is.
        (6, bytes) => Some(Ipv6Addr::from(bytes).to_canonical()),
        _ => None,
    }
}

/// Returns the wire form of an address and a port.
pub(crate) fn socket_address(ip_version: u8, bytes: [u8; 16], port: u16) -> Option<SocketAddress> {
    ip_address(ip_version, bytes).map(|address| SocketAddress {
        address: address.to_string(),
        port: u32::from(port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_addresses_as_people_do() {
        let mut v6 = [0; 16];
        (v6[0], v6[1], v6[15]) = (0xfd, 0x01, 9);
        let mut mapped = [0; 16];
        mapped[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
        let mut v4 = [0; 16];
        v4[..4].copy_from_slice(&[192, 0, 2, 1]);
        for (version, bytes, expected) in [
            (4, v4, Some("192.0.2.1")),
            (6, v6, Some("fd01::9")),
            (6, mapped, Some("10.0.0.1")),
            (0, v4, None),
        ] {
            let told = socket_address(version, bytes, 53);
            assert_eq!(told.map(|told| told.address).as_deref(), expected);
        }
    }
}
