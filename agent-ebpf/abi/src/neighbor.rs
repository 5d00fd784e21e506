//! Addresses on the link that nobody answered for, counted in a map.

use crate::{Generation, MAX_INTERFACE_NAME};

/// The address whose failures are counted together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct NeighborKey {
    /// In network order; an IPv4 address takes the first four bytes.
    pub address: [u8; 16],
    /// Inode of the network namespace.
    pub netns: u32,
    /// Of the network device, within its namespace.
    pub interface: u32,
    /// See [`Generation`].
    pub generation: u32,
    /// 4 or 6.
    pub ip_version: u8,
    /// Always 0.
    pub reserved: [u8; 3],
}

const _: () = assert!(size_of::<NeighborKey>() == 16 + 4 * 3 + 1 + 3);

impl Generation for NeighborKey {
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// How many failures there were.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NeighborCount {
    /// Resolutions that were given up.
    pub failures: u64,
    /// Name of the network device.
    pub interface: [u8; MAX_INTERFACE_NAME],
}

const _: () = assert!(size_of::<NeighborCount>() == 8 + MAX_INTERFACE_NAME);
