//! Remembers who made a socket connect or listen, so that what happens to it in interrupts has an owner. On cgroup v2 the
//! kernel remembers that itself, for every socket.

use inquest_agent_abi::{FlowKey, ListenerKey, SocketOwner};

use crate::{
    kernel_read::{SocketPtr, layout},
    maps::{LAYOUT, LISTENERS, SOCKET_OWNERS},
};

/// Returns the id of the cgroup that owns `socket`, 0 when it is not known.
#[inline(always)]
pub(crate) fn cgroup(socket: SocketPtr) -> u64 {
    if !socket.is_whole() {
        return 0;
    }
    if layout(&LAYOUT.identity_hierarchy) == 0 {
        return socket.unified_cgroup();
    }
    // SAFETY: read once; of an entry that is replaced meanwhile, either owner is one of this address.
    unsafe { SOCKET_OWNERS.get(&socket.address()) }.map_or(0, |owner| owner.cgroup)
}

/// Returns the owner of `socket` and the direction of its connection, of one that was there before this program as far as
/// the kernel and the listeners tell.
#[inline(always)]
pub(crate) fn of_connection(socket: SocketPtr) -> SocketOwner {
    // SAFETY: as above.
    if let Some(owner) = unsafe { SOCKET_OWNERS.get(&socket.address()) } {
        return *owner;
    }
    let listener = listener(socket);
    let cgroup = if layout(&LAYOUT.identity_hierarchy) == 0 {
        socket.unified_cgroup()
    } else {
        listener.map_or(0, |listener| listener.cgroup)
    };
    SocketOwner {
        cgroup,
        start_ktime_ns: 0,
        syn_retransmits: 0,
        direction: u32::from(if listener.is_some() {
            FlowKey::IN
        } else {
            FlowKey::OUT
        }),
        comm: listener.map_or([0; _], |listener| listener.comm),
    }
}

/// Returns who listens at the port of `socket`.
#[inline(always)]
fn listener(socket: SocketPtr) -> Option<SocketOwner> {
    // SAFETY: as above.
    unsafe { LISTENERS.get(&listener_key(socket)) }.copied()
}

/// Returns where `socket` listens.
#[inline(always)]
pub(crate) fn listener_key(socket: SocketPtr) -> ListenerKey {
    ListenerKey {
        netns: socket.netns().inode(),
        port: u32::from(socket.local_port()),
    }
}
