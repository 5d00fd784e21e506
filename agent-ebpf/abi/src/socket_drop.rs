//! Datagrams that found a socket's receive buffer full, counted in a map.

use crate::Generation;

/// The socket whose datagrams are counted together. Zero stands for what is not known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SocketDropKey {
    /// Of the socket's owner.
    pub cgroup: u64,
    /// What the socket is bound to, in network order; an IPv4 address takes the first four bytes.
    pub local: [u8; 16],
    /// Inode of the network namespace.
    pub netns: u32,
    /// See [`Generation`].
    pub generation: u32,
    /// What the socket is bound to.
    pub port: u16,
    /// 4 or 6.
    pub ip_version: u8,
    /// Always 0.
    pub reserved: [u8; 5],
}

const _: () = assert!(size_of::<SocketDropKey>() == 8 + 16 + 4 * 2 + 2 + 1 + 5);

impl Generation for SocketDropKey {
    fn generation(&self) -> u32 {
        self.generation
    }
}
