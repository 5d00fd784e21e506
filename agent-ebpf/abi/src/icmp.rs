//! ICMP errors that are sent and received, counted in a map.

use crate::Generation;

/// What the errors that are counted together have in common. Zero stands for what is not known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IcmpKey {
    /// Who reports the error, in network order; an IPv4 address takes the first four bytes.
    pub reporter: [u8; 16],
    /// The source of the packet that the error is about.
    pub source: [u8; 16],
    /// Its destination.
    pub destination: [u8; 16],
    /// Inode of the network namespace that sends or receives the error.
    pub netns: u32,
    /// See [`Generation`].
    pub generation: u32,
    /// Largest packet that the next link takes, of an error that says so.
    pub mtu: u32,
    /// Of the packet that the error is about, with TCP, UDP and SCTP.
    pub destination_port: u16,
    /// Number of the protocol of that packet.
    pub protocol: u8,
    /// The error's type.
    pub kind: u8,
    /// The error's code, whose meaning depends on the type.
    pub code: u8,
    /// 4 or 6: ICMP or ICMPv6.
    pub ip_version: u8,
    /// 1 for an error that was received, 0 for one that was sent.
    pub received: u8,
    /// Always 0.
    pub reserved: u8,
}

const _: () = assert!(size_of::<IcmpKey>() == 16 * 3 + 4 * 3 + 2 + 6);

impl Generation for IcmpKey {
    fn generation(&self) -> u32 {
        self.generation
    }
}

/// How many errors there were.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct IcmpCount {
    /// Errors.
    pub errors: u64,
    /// Source port of one of the packets.
    pub source_port: u16,
    /// Always 0.
    pub reserved: [u16; 3],
}

const _: () = assert!(size_of::<IcmpCount>() == 16);
