//! The maps of what fails below connections.

use aya_ebpf::{macros::map, maps::HashMap};
use inquest_agent_abi::{
    ICMP_ERRORS as MAX_ICMP_ERRORS, IcmpCount, IcmpKey, NEIGHBOR_FAILURES as MAX_NEIGHBORS,
    NeighborCount, NeighborKey, SOCKET_DROPS as MAX_SOCKET_DROPS, SocketDropKey,
};

/// Datagrams that found a receive buffer full.
#[map]
pub(crate) static SOCKET_DROPS: HashMap<SocketDropKey, u64> =
    HashMap::with_max_entries(MAX_SOCKET_DROPS, 0);

/// ICMP errors that are sent and received.
#[map]
pub(crate) static ICMP_ERRORS: HashMap<IcmpKey, IcmpCount> =
    HashMap::with_max_entries(MAX_ICMP_ERRORS, 0);

/// Addresses that nobody answered for.
#[map]
pub(crate) static NEIGHBOR_FAILURES: HashMap<NeighborKey, NeighborCount> =
    HashMap::with_max_entries(MAX_NEIGHBORS, 0);
