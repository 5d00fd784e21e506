//! Reads what a task's file descriptors stand for, as far as that is a socket.

use inquest_agent_abi::WaitPeer;

use super::{Address, TaskPtr, read};
use crate::maps::LAYOUT;

/// The file type of `inode.i_mode`, and what it is for a socket.
const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A `struct sock`.
#[derive(Clone, Copy)]
pub(crate) struct DescriptorSocket(Address);

impl DescriptorSocket {
    /// Returns the socket behind descriptor `number` of `task`, `None` when that is none.
    #[inline(always)]
    pub(crate) fn of(task: TaskPtr, number: u32) -> Option<Self> {
        let file = file(task, number);
        let inode: Address = read(file, &LAYOUT.wait.file_inode);
        let mode: u16 = read(inode, &LAYOUT.wait.inode_mode);
        if file == 0 || mode & S_IFMT != S_IFSOCK {
            return None;
        }
        let socket: Address = read(file, &LAYOUT.wait.file_private);
        Some(Self(read(socket, &LAYOUT.wait.socket_sock)))
    }

    /// Returns its other end.
    #[inline(always)]
    pub(crate) fn peer(self) -> WaitPeer {
        let mut peer = WaitPeer::NONE;
        let family: u16 = read(self.0, &LAYOUT.wait.sock_family);
        if family == AF_INET {
            let address: [u8; 4] = read(self.0, &LAYOUT.wait.sock_address_v4);
            peer.address[..4].copy_from_slice(&address);
        } else if family == AF_INET6 {
            peer.address = read(self.0, &LAYOUT.wait.sock_address_v6);
        } else {
            return peer;
        }
        let port: u16 = read(self.0, &LAYOUT.wait.sock_port);
        peer.port = u16::from_be(port);
        // A listening or unconnected socket has none.
        if peer.port != 0 {
            peer.family = family;
        }
        peer
    }
}

/// Returns the `struct file` behind descriptor `number` of `task`, 0 when there is none.
#[inline(always)]
pub(super) fn file(task: TaskPtr, number: u32) -> Address {
    let files: Address = read(task.address(), &LAYOUT.wait.files);
    let table: Address = read(files, &LAYOUT.wait.descriptors);
    let count: u32 = read(table, &LAYOUT.wait.descriptor_count);
    if number >= count {
        return 0;
    }
    let array: Address = read(table, &LAYOUT.wait.descriptor_files);
    super::read_at(array.wrapping_add(u64::from(number) * 8))
}
