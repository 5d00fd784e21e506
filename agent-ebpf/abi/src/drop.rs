//! Dropped packets, counted in a map rather than told one by one.

use crate::{Generation, MAX_INTERFACE_NAME};

/// What the drops that are counted together have in common. Zero stands for what is not known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DropKey {
    /// Of the socket's owner, where the packet has a socket whose owner is known.
    pub cgroup: u64,
    /// Address of the instruction after the one that dropped.
    pub location: u64,
    /// In network order; an IPv4 address takes the first four bytes.
    pub source: [u8; 16],
    /// The same of the destination.
    pub destination: [u8; 16],
    /// Inode of the network namespace.
    pub netns: u32,
    /// The kernel's number, [`DropKey::NO_REASON`] before 5.17.
    pub reason: u32,
    /// Of the network device, within its namespace.
    pub interface: u32,
    /// Of TCP, UDP and SCTP.
    pub destination_port: u16,
    /// Number of the protocol that IP carries.
    pub protocol: u8,
    /// 4 or 6, 0 for what is not IP: addresses, port and protocol are zero then.
    pub ip_version: u8,
    /// See [`Generation`].
    pub generation: u32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<DropKey>() == 8 * 2 + 16 * 2 + 4 * 3 + 2 + 1 + 1 + 4 * 2);

impl DropKey {
    /// This kernel gives no reasons.
    pub const NO_REASON: u32 = u32::MAX;
}

impl Generation for DropKey {
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// How many drops there were, with what the last of them looked like.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DropCount {
    /// Packets.
    pub packets: u64,
    /// Their lengths as they were when they were dropped.
    pub bytes: u64,
    /// Name of the network device.
    pub interface: [u8; MAX_INTERFACE_NAME],
    /// Source port of one of the packets.
    pub source_port: u16,
    /// Always 0.
    pub reserved: [u16; 3],
}

const _: () = assert!(size_of::<DropCount>() == 8 * 2 + MAX_INTERFACE_NAME + 2 + 6);
