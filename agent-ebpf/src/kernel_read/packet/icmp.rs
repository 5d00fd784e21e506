//! Reads ICMP messages that report an error, and of the packet that they quote what tells whose it was.

use super::{
    super::{Address, read_at},
    IpHeader, protocol,
};

/// Bytes before the packet that an error quotes.
const HEADER: u64 = 8;

/// Types of ICMP that report errors (`include/uapi/linux/icmp.h`). A redirect is advice, and a source quench history.
mod v4 {
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
    /// The code of an unreachable destination that tells an MTU.
    pub(super) const FRAGMENTATION_NEEDED: u8 = 4;
}

/// Those of ICMPv6 (`include/uapi/linux/icmpv6.h`): all from the first to the last.
mod v6 {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const TOO_BIG: u8 = 2;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
}

/// An ICMP message that reports an error.
#[derive(Clone, Copy)]
pub(crate) struct IcmpError {
    at: Address,
    v6: bool,
    /// Its type.
    pub(crate) kind: u8,
    /// Its code.
    pub(crate) code: u8,
}

impl IpHeader {
    /// Returns the error of ICMP that it carries, `None` when it carries something else.
    #[inline(always)]
    pub(crate) fn icmp_error(self) -> Option<IcmpError> {
        let icmp = if self.v6 {
            protocol::ICMPV6
        } else {
            protocol::ICMP
        };
        if u16::from(self.protocol()) != icmp || (!self.v6 && self.is_later_fragment()) {
            return None;
        }
        let at = self.payload();
        let [kind, code]: [u8; 2] = read_at(at);
        let is_error = if self.v6 {
            (v6::UNREACHABLE..=v6::PARAMETER_PROBLEM).contains(&kind)
        } else {
            matches!(
                kind,
                v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM
            )
        };
        is_error.then_some(IcmpError {
            at,
            v6: self.v6,
            kind,
            code,
        })
    }
}

impl IcmpError {
    /// Returns the largest packet that the next link takes, 0 when it does not say.
    #[inline(always)]
    pub(crate) fn mtu(self) -> u32 {
        match (self.v6, self.kind, self.code) {
            (false, v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) => {
                u32::from(u16::from_be(read_at(self.at.wrapping_add(6))))
            }
            (true, v6::TOO_BIG, _) => u32::from_be(read_at(self.at.wrapping_add(4))),
            _ => 0,
        }
    }

    /// Returns the header of the packet that it is about, `None` when it does not begin as one.
    #[inline(always)]
    pub(crate) fn about(self) -> Option<IpHeader> {
        let at = self.at.wrapping_add(HEADER);
        let first: u8 = read_at(at);
        match (self.v6, first >> 4) {
            (false, 4) | (true, 6) => Some(IpHeader::at(at, first)),
            _ => None,
        }
    }
}
