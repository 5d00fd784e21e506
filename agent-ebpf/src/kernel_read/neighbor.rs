//! Reads entries of the tables in which the kernel keeps who has which address on a link.

use super::{Address, DevicePtr, read, socket::widened};
use crate::maps::LAYOUT;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
/// `NUD_FAILED`: it was asked as often as it is worth, and nobody answered.
const FAILED: u8 = 0x20;

/// A `struct neighbour`.
#[derive(Clone, Copy)]
pub(crate) struct NeighborPtr(Address);

impl NeighborPtr {
    /// Returns the entry at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns whether it was given up.
    #[inline(always)]
    pub(crate) fn has_failed(self) -> bool {
        read::<u8>(self.0, &LAYOUT.neighbor.state) & FAILED != 0
    }

    /// Returns the device behind which it is looked for.
    #[inline(always)]
    pub(crate) fn device(self) -> DevicePtr {
        DevicePtr::at(read(self.0, &LAYOUT.neighbor.device))
    }

    /// Returns 4 or 6, 0 for an entry of another protocol.
    #[inline(always)]
    pub(crate) fn ip_version(self) -> u8 {
        let table: Address = read(self.0, &LAYOUT.neighbor.table);
        match read::<u32>(table, &LAYOUT.neighbor.table_family) {
            AF_INET => 4,
            AF_INET6 => 6,
            _ => 0,
        }
    }

    /// Returns its address in network order, of IP `version`; an IPv4 one in the first four bytes.
    #[inline(always)]
    pub(crate) fn address(self, version: u8) -> [u8; 16] {
        if version == 6 {
            return read(self.0, &LAYOUT.neighbor.address);
        }
        widened(read(self.0, &LAYOUT.neighbor.address))
    }
}
