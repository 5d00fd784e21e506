//! The maps of requests to block devices.

use aya_ebpf::{
    macros::map,
    maps::{HashMap, LruHashMap},
};
use inquest_agent_abi::{
    BLOCK_IO as MAX_BLOCK_IO, BLOCK_REQUESTS as MAX_REQUESTS, BlockIoCount, BlockIoKey,
    BlockRequest,
};

/// Those under way, by what tells one from another at its hook.
#[map]
pub(crate) static BLOCK_REQUESTS: LruHashMap<u64, BlockRequest> =
    LruHashMap::with_max_entries(MAX_REQUESTS, 0);

/// What those that ended come to.
#[map]
pub(crate) static BLOCK_IO: HashMap<BlockIoKey, BlockIoCount> =
    HashMap::with_max_entries(MAX_BLOCK_IO, 0);
