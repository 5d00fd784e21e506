//! What happens to TCP connections, counted in `FLOWS` by owner and peer. Each hook has a file of its own; here is
//! what they count in.

mod reset;
mod retransmit;
mod state;

use inquest_agent_abi::{Counted, FlowCounts, FlowKey, OtherFlowsKey, SocketOwner};

use crate::{
    count,
    kernel_read::SocketPtr,
    maps::{FLOWS, OTHER_FLOWS},
};

/// Returns what the connections between the owner of `socket` and its peer are counted under.
#[inline(always)]
fn flow(socket: SocketPtr, owner: &SocketOwner) -> FlowKey {
    let direction = owner.direction as u8;
    FlowKey {
        cgroup: owner.cgroup,
        peer: socket.peer_address(),
        netns: socket.netns().inode(),
        generation: count::generation(Counted::Flows),
        port: if direction == FlowKey::OUT {
            socket.peer_port()
        } else {
            socket.local_port()
        },
        ip_version: socket.ip_version(),
        direction,
        reserved: 0,
    }
}

/// Has `count` count under `key`. Without room for it, `connections` are counted as the owner's others, and the rest is
/// lost.
#[inline(always)]
fn count_flow(key: &FlowKey, connections: u64, count: impl FnOnce(*mut FlowCounts)) {
    if let Some(counts) = count::entry(&FLOWS, key, &FlowCounts::ZERO) {
        count(counts);
        return;
    }
    if connections == 0 {
        count::uncounted(Counted::Flows);
        return;
    }
    let owner = OtherFlowsKey {
        cgroup: key.cgroup,
        netns: key.netns,
        generation: count::generation(Counted::OtherFlows),
    };
    match count::entry(&OTHER_FLOWS, &owner, &0) {
        // SAFETY: an entry stays where it is until the generation after next.
        Some(others) => unsafe { count::add(others, connections) },
        None => count::uncounted(Counted::OtherFlows),
    }
}

/// Adds to a counter of `FlowCounts`.
macro_rules! add {
    ($counts:expr, $field:ident, $by:expr) => {
        // SAFETY: an entry stays where it is until the generation after next.
        unsafe { crate::count::add(&raw mut (*$counts).$field, $by) }
    };
}
use add;
