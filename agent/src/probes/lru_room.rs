//! How large the maps are that forget what was used least recently: before Linux 6.16 each CPU takes free entries out of
//! such a map by 128 at a time, and a CPU for which none are left forgets what is in use. Must not size any other map.

use aya::EbpfLoader;
use inquest_agent_abi::{
    BLOCK_REQUESTS, LISTENERS, OOM_VICTIMS, RATES, SIGNAL_ORIGINS, SOCKET_OWNERS, WAIT_THREADS,
    names,
};

/// Entries that a CPU may hold free (`LOCAL_FREE_TARGET` of the kernel's `kernel/bpf/bpf_lru_list.c`).
const HELD_BY_CPU: u32 = 128;

/// The maps, with the entries that each is to hold in use. Together they take some 110 KB more for each CPU.
const MAPS: [(&str, u32); 7] = [
    (names::RATES, RATES),
    (names::SOCKET_OWNERS, SOCKET_OWNERS),
    (names::LISTENERS, LISTENERS),
    (names::ORIGINS, SIGNAL_ORIGINS),
    (names::OOM_VICTIMS, OOM_VICTIMS),
    (names::THREADS, WAIT_THREADS),
    (names::BLOCK_REQUESTS, BLOCK_REQUESTS),
];

/// Has `loader` make these maps as large as they have to be with so many CPUs.
pub(super) fn reserve(loader: &mut EbpfLoader<'_>, cpus: usize) {
    let held = u32::try_from(cpus).unwrap_or(u32::MAX);
    let held = held.saturating_mul(HELD_BY_CPU);
    for (name, in_use) in MAPS {
        loader.map_max_entries(name, in_use.saturating_add(held));
    }
}
