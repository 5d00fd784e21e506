//! ICMP errors among the packets that are sent and received: a packet cannot be delivered, is too large, or has been on its
//! way for too long. Some 15 reads and one map update an error; runs in softirq more often than not, so the current task is
//! never asked. Counts in `ICMP_ERRORS`.

use inquest_agent_abi::{Counted, IcmpCount, IcmpKey};

use crate::{
    count,
    kernel_read::{IpHeader, PacketPtr},
    maps::ICMP_ERRORS,
};

/// Takes a packet of ICMP as its sender's device is given it.
#[inline(always)]
pub(super) fn sent(packet: PacketPtr) {
    if let Some(ip) = packet.ip() {
        count_error(packet, ip, false);
    }
}

/// Takes a packet of ICMP as it arrives at a device.
#[inline(always)]
pub(super) fn received(packet: PacketPtr) {
    if let Some(ip) = packet.arriving_ip() {
        count_error(packet, ip, true);
    }
}

#[inline(always)]
fn count_error(packet: PacketPtr, ip: IpHeader, received: bool) {
    let Some(error) = ip.icmp_error() else {
        return;
    };
    let mut key = IcmpKey {
        reporter: ip.source(),
        source: [0; 16],
        destination: [0; 16],
        // Not the socket's, which the kernel lends to one namespace after the other.
        netns: packet.device().netns().inode(),
        generation: count::generation(Counted::IcmpErrors),
        mtu: error.mtu(),
        destination_port: 0,
        protocol: 0,
        kind: error.kind,
        code: error.code,
        ip_version: ip.version(),
        received: u8::from(received),
        reserved: 0,
    };
    let mut zero = IcmpCount::default();
    if let Some(about) = error.about() {
        key.protocol = about.protocol();
        key.source = about.source();
        key.destination = about.destination();
        (zero.source_port, key.destination_port) = about.ports();
    }
    match count::entry(&ICMP_ERRORS, &key, &zero) {
        // SAFETY: an entry stays where it is until the generation after next.
        Some(counted) => unsafe { count::add(&raw mut (*counted).errors, 1) },
        None => count::uncounted(Counted::IcmpErrors),
    }
}
