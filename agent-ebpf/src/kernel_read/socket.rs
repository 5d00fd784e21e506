//! Reads sockets and network namespaces.

use super::{Address, CgroupPtr, packet::protocol, read};
use crate::maps::LAYOUT;

/// States of `include/net/tcp_states.h`.
pub(crate) mod tcp_state {
    pub(crate) const ESTABLISHED: u32 = 1;
    pub(crate) const SYN_SENT: u32 = 2;
    pub(crate) const SYN_RECV: u32 = 3;
    /// What is left of a connection: not a whole socket.
    pub(crate) const TIME_WAIT: u32 = 6;
    pub(crate) const CLOSE: u32 = 7;
    pub(crate) const CLOSE_WAIT: u32 = 8;
    pub(crate) const LISTEN: u32 = 10;
    /// A connection that is asked for: not a whole socket either.
    pub(crate) const NEW_SYN_RECV: u32 = 12;
}

const AF_INET6: u16 = 10;

/// Low bits of `sk_cgrp_data` on kernels before 5.16: the first says that it is no pointer.
const CGROUP_FLAGS: u64 = 0b11;
const NO_CGROUP: u64 = 0b1;

/// A `struct sock`, or the `struct sock_common` that stands for one; perhaps none.
#[derive(Clone, Copy)]
pub(crate) struct SocketPtr(Address);

impl SocketPtr {
    /// Returns the socket at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns whether there is none.
    #[inline(always)]
    pub(crate) fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Returns where it is, which names it as long as it lives.
    #[inline(always)]
    pub(crate) fn address(self) -> Address {
        self.0
    }

    /// Returns whether it is one of TCP; one of MPTCP is not, but those below it are.
    #[inline(always)]
    pub(crate) fn is_tcp(self) -> bool {
        self.protocol() == protocol::TCP
    }

    /// Returns its protocol, one of [`protocol`] and others; 0 when there is none.
    #[inline(always)]
    pub(crate) fn protocol(self) -> u16 {
        read(self.0, &LAYOUT.socket.protocol)
    }

    /// Returns its state, one of [`tcp_state`].
    #[inline(always)]
    pub(crate) fn state(self) -> u32 {
        u32::from(read::<u8>(self.0, &LAYOUT.socket.state))
    }

    /// Returns whether it is a socket of a program, not the kernel's stand-in for one that is gone or not yet there.
    #[inline(always)]
    pub(crate) fn is_whole(self) -> bool {
        let state = self.state();
        !self.is_null() && state != tcp_state::TIME_WAIT && state != tcp_state::NEW_SYN_RECV
    }

    /// Returns the network namespace it belongs to.
    #[inline(always)]
    pub(crate) fn netns(self) -> NetnsPtr {
        NetnsPtr(read(self.0, &LAYOUT.socket.netns))
    }

    /// Returns the id of its v2 cgroup, 0 when it has none.
    #[inline(always)]
    pub(crate) fn unified_cgroup(self) -> u64 {
        let cgroup: u64 = read(self.0, &LAYOUT.socket.cgroup);
        if cgroup & NO_CGROUP != 0 {
            return 0;
        }
        CgroupPtr::at(cgroup & !CGROUP_FLAGS).id()
    }

    /// Returns 4 or 6.
    #[inline(always)]
    pub(crate) fn ip_version(self) -> u8 {
        if self.is_ipv6() { 6 } else { 4 }
    }

    /// Returns the port that it has or had, 0 when it has none yet. It must be whole.
    #[inline(always)]
    pub(crate) fn local_port(self) -> u16 {
        u16::from_be(read(self.0, &LAYOUT.socket.local_port))
    }

    /// Returns the port at its other end.
    #[inline(always)]
    pub(crate) fn peer_port(self) -> u16 {
        u16::from_be(read(self.0, &LAYOUT.socket.peer_port))
    }

    /// Returns its own address in network order, an IPv4 one in the first four bytes.
    #[inline(always)]
    pub(crate) fn local_address(self) -> [u8; 16] {
        if self.is_ipv6() {
            read(self.0, &LAYOUT.socket.local_ipv6)
        } else {
            widened(read(self.0, &LAYOUT.socket.local_ipv4))
        }
    }

    /// Returns the address at its other end, like [`Self::local_address`].
    #[inline(always)]
    pub(crate) fn peer_address(self) -> [u8; 16] {
        if self.is_ipv6() {
            read(self.0, &LAYOUT.socket.peer_ipv6)
        } else {
            widened(read(self.0, &LAYOUT.socket.peer_ipv4))
        }
    }

    /// Returns the error that its program is to be told, 0 for none.
    #[inline(always)]
    pub(crate) fn error(self) -> u32 {
        read(self.0, &LAYOUT.socket.error)
    }

    /// Returns its smoothed round-trip time, 0 when it has none.
    #[inline(always)]
    pub(crate) fn srtt_us(self) -> u64 {
        u64::from(read::<u32>(self.0, &LAYOUT.socket.srtt)) >> 3
    }

    /// Returns how many bytes of data it sent, each counted once.
    #[inline(always)]
    pub(crate) fn bytes_sent(self) -> u64 {
        let sent: u64 = read(self.0, &LAYOUT.socket.bytes_sent);
        sent.wrapping_sub(read(self.0, &LAYOUT.socket.bytes_sent_again))
    }

    /// Returns how many bytes it received; the end of the peer's data counts as one.
    #[inline(always)]
    pub(crate) fn bytes_received(self) -> u64 {
        read(self.0, &LAYOUT.socket.bytes_received)
    }

    #[inline(always)]
    fn is_ipv6(self) -> bool {
        read::<u16>(self.0, &LAYOUT.socket.family) == AF_INET6
    }
}

/// Returns an IPv4 address in the first bytes of what has room for an IPv6 one.
#[inline(always)]
pub(crate) fn widened(ipv4: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    [address[0], address[1], address[2], address[3]] = ipv4;
    address
}

/// A `struct net`, perhaps none.
#[derive(Clone, Copy)]
pub(crate) struct NetnsPtr(Address);

/// Inodes of namespaces are at least this (`PROC_DYNAMIC_FIRST`, less the few fixed ones below it).
const FIRST_INODE: u32 = 0xefff_ff00;

impl NetnsPtr {
    /// Returns the namespace at `address`.
    #[inline(always)]
    pub(crate) fn at(address: Address) -> Self {
        Self(address)
    }

    /// Returns the inode that names it, 0 when this is none: a packet may hold something else in place of what
    /// leads here.
    #[inline(always)]
    pub(crate) fn inode(self) -> u32 {
        let inode: u32 = read(self.0, &LAYOUT.packet.netns_inode);
        if inode < FIRST_INODE { 0 } else { inode }
    }
}
