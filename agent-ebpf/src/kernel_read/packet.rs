//! Reads packets: their headers as far as the ports, and the device and socket they are at.

mod icmp;

use aya_ebpf::programs::BtfTracePointContext;
use inquest_agent_abi::MAX_INTERFACE_NAME;

use super::{Address, NetnsPtr, SocketPtr, load, read, read_at, socket::widened};
use crate::maps::LAYOUT;

/// `ETH_P_IP` and `ETH_P_IPV6`, as a little-endian CPU reads them from the network.
const ETHERTYPE_IPV4: u16 = 0x0800_u16.to_be();
const ETHERTYPE_IPV6: u16 = 0x86dd_u16.to_be();
/// A header offset that was not set yet.
const NO_HEADER: u16 = u16::MAX;
/// Where the two headers say what they carry.
const PROTOCOL_IN_IPV4: u64 = 9;
const PROTOCOL_IN_IPV6: u64 = 6;

/// Protocols of IP, as wide as a socket has them.
pub(crate) mod protocol {
    pub(crate) const ICMP: u16 = 1;
    pub(crate) const TCP: u16 = 6;
    pub(crate) const UDP: u16 = 17;
    pub(crate) const ICMPV6: u16 = 58;
    pub(crate) const SCTP: u16 = 132;
}

/// A `struct sk_buff`.
#[derive(Clone, Copy)]
pub(crate) struct PacketPtr(Address);

impl PacketPtr {
    /// Returns the packet at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns its length in bytes, without the headers already taken off.
    #[inline(always)]
    pub(crate) fn len(self) -> u32 {
        read(self.0, &LAYOUT.packet.len)
    }

    /// Returns how many of its bytes from `at` on can be read. What comes behind is in pages that programs do not get at, as
    /// network devices leave all but the first bytes of a packet.
    #[inline(always)]
    pub(crate) fn readable_from(self, at: Address) -> u32 {
        let data: Address = read(self.0, &LAYOUT.packet.data);
        let paged: u32 = read(self.0, &LAYOUT.packet.paged_len);
        let end = data.wrapping_add(u64::from(self.len().wrapping_sub(paged)));
        if at < end { (end - at) as u32 } else { 0 }
    }

    /// Returns the socket that it comes from or was found to go to.
    #[inline(always)]
    pub(crate) fn socket(self) -> SocketPtr {
        SocketPtr::at(read(self.0, &LAYOUT.packet.socket))
    }

    /// Returns the device it is at.
    #[inline(always)]
    pub(crate) fn device(self) -> DevicePtr {
        DevicePtr(read(self.0, &LAYOUT.packet.device))
    }

    /// Returns the inode of its network namespace, 0 when it is not known: that of `socket`, its own or its receiver's,
    /// else the device's. A packet on its way out may have no device yet; one in a queue of a socket may hold something
    /// else in the device's place, but it has a socket.
    #[inline(always)]
    pub(crate) fn netns(self, socket: SocketPtr) -> u32 {
        let of_socket = socket.netns().inode();
        if of_socket != 0 {
            return of_socket;
        }
        let of_device = self.device().netns().inode();
        if of_device != 0 {
            return of_device;
        }
        self.route_device().netns().inode()
    }

    /// Returns the device that its route leads through.
    #[inline(always)]
    fn route_device(self) -> DevicePtr {
        let route: Address = read(self.0, &LAYOUT.packet.route);
        DevicePtr(read(route & !1, &LAYOUT.packet.route_device))
    }

    /// Returns its IP header, `None` when it has none, or none yet.
    #[inline(always)]
    pub(crate) fn ip(self) -> Option<IpHeader> {
        let offset: u16 = read(self.0, &LAYOUT.packet.network_header);
        if offset == 0 || offset == NO_HEADER {
            return None;
        }
        let head: Address = read(self.0, &LAYOUT.packet.head);
        self.ip_at(head.wrapping_add(u64::from(offset)))
    }

    /// Returns its IP header as it arrives at a device, where it begins with it.
    #[inline(always)]
    pub(crate) fn arriving_ip(self) -> Option<IpHeader> {
        self.ip_at(read(self.0, &LAYOUT.packet.data))
    }

    #[inline(always)]
    fn ip_at(self, at: Address) -> Option<IpHeader> {
        let first: u8 = read_at(at);
        // What the header says must be what the packet is: a header may be about to be written.
        match (read::<u16>(self.0, &LAYOUT.packet.protocol), first >> 4) {
            (ETHERTYPE_IPV4, 4) | (ETHERTYPE_IPV6, 6) => Some(IpHeader::at(at, first)),
            _ => None,
        }
    }
}

/// A packet that a `tp_btf` program is given: its fields are loaded without a call, which is what programs that run for
/// every packet can afford.
#[derive(Clone, Copy)]
pub(crate) struct TypedPacket(*const u8);

impl TypedPacket {
    /// Returns the first argument of the program.
    #[inline(always)]
    pub(crate) fn argument(ctx: &BtfTracePointContext) -> Self {
        Self(ctx.arg(0))
    }

    /// Returns the protocol of the socket that sends it, 0 when it is forwarded.
    #[inline(always)]
    pub(crate) fn sender_protocol(self) -> u16 {
        // SAFETY: the argument is a packet, and its field a socket or null, which the kernel reads zero from.
        unsafe {
            let Some(socket) = load::<*const u8>(self.0, &LAYOUT.packet.socket) else {
                return 0;
            };
            if socket.is_null() {
                return 0;
            }
            load(socket, &LAYOUT.socket.protocol).unwrap_or_default()
        }
    }

    /// Returns the protocol that it carries as it arrives at a device, 0 when it is not of IP.
    #[inline(always)]
    pub(crate) fn arriving_protocol(self) -> u16 {
        // SAFETY: the argument is a packet.
        let (protocol, data) = unsafe {
            (
                load::<u16>(self.0, &LAYOUT.packet.protocol),
                load::<Address>(self.0, &LAYOUT.packet.data),
            )
        };
        let offset = match protocol {
            Some(ETHERTYPE_IPV4) => PROTOCOL_IN_IPV4,
            Some(ETHERTYPE_IPV6) => PROTOCOL_IN_IPV6,
            _ => return 0,
        };
        data.map_or(0, |data| {
            u16::from(read_at::<u8>(data.wrapping_add(offset)))
        })
    }

    /// Returns it as one that is read by calls.
    #[inline(always)]
    pub(crate) fn untyped(self) -> PacketPtr {
        // Through memory, after which it is a number to the verifier.
        PacketPtr(read_at((&raw const self.0) as Address))
    }
}

/// The IP header of a packet.
#[derive(Clone, Copy)]
pub(crate) struct IpHeader {
    at: Address,
    v6: bool,
    len: u8,
}

impl IpHeader {
    /// Returns the header at `at`, whose first byte is that of one.
    #[inline(always)]
    fn at(at: Address, first: u8) -> Self {
        let v6 = first >> 4 == 6;
        Self {
            at,
            v6,
            len: if v6 { 40 } else { (first & 0xf) * 4 },
        }
    }

    /// Returns 4 or 6.
    #[inline(always)]
    pub(crate) fn version(self) -> u8 {
        if self.v6 { 6 } else { 4 }
    }

    /// Returns the number of the protocol it carries; of IPv6, of its first extension header if it has any.
    #[inline(always)]
    pub(crate) fn protocol(self) -> u8 {
        let offset = if self.v6 {
            PROTOCOL_IN_IPV6
        } else {
            PROTOCOL_IN_IPV4
        };
        read_at(self.at.wrapping_add(offset))
    }

    /// Returns the source address in network order, an IPv4 one in the first four bytes.
    #[inline(always)]
    pub(crate) fn source(self) -> [u8; 16] {
        self.address(if self.v6 { 8 } else { 12 })
    }

    /// Returns the destination address, like [`Self::source`].
    #[inline(always)]
    pub(crate) fn destination(self) -> [u8; 16] {
        self.address(if self.v6 { 24 } else { 16 })
    }

    /// Returns source and destination port, both 0 for a protocol without ports and for a later fragment.
    #[inline(always)]
    pub(crate) fn ports(self) -> (u16, u16) {
        let has_ports = matches!(
            u16::from(self.protocol()),
            protocol::TCP | protocol::UDP | protocol::SCTP
        );
        if !has_ports || (!self.v6 && self.is_later_fragment()) {
            return (0, 0);
        }
        let ports: [u8; 4] = read_at(self.at.wrapping_add(u64::from(self.len)));
        (
            u16::from_be_bytes([ports[0], ports[1]]),
            u16::from_be_bytes([ports[2], ports[3]]),
        )
    }

    /// Returns where what it carries begins.
    #[inline(always)]
    pub(crate) fn payload(self) -> Address {
        self.at.wrapping_add(u64::from(self.len))
    }

    /// Returns the length of the UDP datagram it carries, its header included.
    #[inline(always)]
    pub(crate) fn udp_len(self) -> u16 {
        u16::from_be(read_at(self.payload().wrapping_add(4)))
    }

    #[inline(always)]
    fn is_later_fragment(self) -> bool {
        let flags_and_offset: [u8; 2] = read_at(self.at.wrapping_add(6));
        u16::from_be_bytes(flags_and_offset) & 0x1fff != 0
    }

    #[inline(always)]
    fn address(self, offset: u64) -> [u8; 16] {
        let at = self.at.wrapping_add(offset);
        if self.v6 {
            return read_at(at);
        }
        widened(read_at(at))
    }
}

/// A `struct net_device`, perhaps none.
#[derive(Clone, Copy)]
pub(crate) struct DevicePtr(Address);

impl DevicePtr {
    /// Returns the device at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns the network namespace it is in.
    #[inline(always)]
    pub(crate) fn netns(self) -> NetnsPtr {
        NetnsPtr::at(read(self.0, &LAYOUT.packet.device_netns))
    }

    /// Returns its index within its namespace.
    #[inline(always)]
    pub(crate) fn index(self) -> u32 {
        read(self.0, &LAYOUT.packet.device_index)
    }

    /// Returns its name.
    #[inline(always)]
    pub(crate) fn name(self) -> [u8; MAX_INTERFACE_NAME] {
        read(self.0, &LAYOUT.packet.device_name)
    }
}
