//! Reads sockets and network namespaces.

use super::{Address, CgroupPtr, layout, read};
use crate::maps::LAYOUT;

/// `TCP_TIME_WAIT` of `include/net/tcp_states.h`: what is left of a connection, not a whole socket.
const TIME_WAIT: u8 = 6;
/// `TCP_NEW_SYN_RECV`: a connection that is asked for, not a whole socket either.
const NEW_SYN_RECV: u8 = 12;

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

    /// Returns the network namespace it belongs to.
    #[inline(always)]
    pub(crate) fn netns(self) -> NetnsPtr {
        NetnsPtr(read(self.0, &LAYOUT.socket.netns))
    }

    /// Returns the id of its owner's cgroup, 0 when it is not known.
    #[inline(always)]
    pub(crate) fn owner(self) -> u64 {
        if self.is_null() || layout(&LAYOUT.identity_hierarchy) != 0 {
            return 0;
        }
        let state: u8 = read(self.0, &LAYOUT.socket.state);
        if state == TIME_WAIT || state == NEW_SYN_RECV {
            return 0;
        }
        let cgroup: u64 = read(self.0, &LAYOUT.socket.cgroup);
        if cgroup & NO_CGROUP != 0 {
            return 0;
        }
        CgroupPtr::at(cgroup & !CGROUP_FLAGS).id()
    }
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
