//! Hook `neigh:neigh_timer_handler`: each time that an entry of a table of neighbors is looked after, of which those
//! count that were given up. Kernel 5.10 and later. One read, some ten and a map update for one that was given up; runs
//! in a timer, so the current task is never asked. A plain tracepoint does not tell the namespace, so there is no program
//! for it. Counts in `NEIGHBOR_FAILURES`.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use inquest_agent_abi::{Counted, Meter, NeighborCount, NeighborKey};

use crate::{
    count,
    kernel_read::{Arguments, NeighborPtr},
    maps::NEIGHBOR_FAILURES,
    meter::metered,
};

const METER: Meter = Meter::NEIGH_TIMER_HANDLER;

#[btf_tracepoint(function = "neigh_timer_handler")]
pub(crate) fn neighbor_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(METER, || try_count(Arguments::of(&ctx)));
    0
}

#[raw_tracepoint(tracepoint = "neigh_timer_handler")]
pub(crate) fn neighbor_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(METER, || try_count(Arguments::of(&ctx)));
    0
}

#[inline(always)]
fn try_count(arguments: Arguments) {
    let neighbor = NeighborPtr::at(arguments.get(0));
    if !neighbor.has_failed() {
        return;
    }
    let ip_version = neighbor.ip_version();
    if ip_version == 0 {
        return;
    }
    let device = neighbor.device();
    let key = NeighborKey {
        address: neighbor.address(ip_version),
        netns: device.netns().inode(),
        interface: device.index(),
        generation: count::generation(Counted::NeighborFailures),
        ip_version,
        reserved: [0; 3],
    };
    let zero = NeighborCount {
        failures: 0,
        interface: device.name(),
    };
    match count::entry(&NEIGHBOR_FAILURES, &key, &zero) {
        // SAFETY: an entry stays where it is until the generation after next.
        Some(counted) => unsafe { count::add(&raw mut (*counted).failures, 1) },
        None => count::uncounted(Counted::NeighborFailures),
    }
}
