//! Hook `udp:udp_fail_queue_rcv_skb`: each datagram that a UDP socket does not take. Kernel 5.10 and later; of IPv6
//! since 6.5. Some ten reads and one map update; runs in softirq more often than not, so the current task is never
//! asked. A plain tracepoint tells neither the socket nor its namespace, so there is no program for it. Counts in
//! `SOCKET_DROPS`.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext},
};
use inquest_agent_abi::{Counted, Meter, SocketDropKey};

use crate::{
    count,
    kernel_read::{Arguments, SocketPtr},
    maps::SOCKET_DROPS,
    meter::metered,
    owner,
};

const METER: Meter = Meter::UDP_FAIL_QUEUE_RCV_SKB;
/// What the kernel returns for a full receive buffer. Others stand for a lack of memory.
const BUFFER_FULL: i32 = -12;

#[btf_tracepoint(function = "udp_fail_queue_rcv_skb")]
pub(crate) fn socket_drop_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(METER, || try_count(Arguments::of(&ctx)));
    0
}

#[raw_tracepoint(tracepoint = "udp_fail_queue_rcv_skb")]
pub(crate) fn socket_drop_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(METER, || try_count(Arguments::of(&ctx)));
    0
}

#[inline(always)]
fn try_count(arguments: Arguments) {
    if arguments.get(0) as i32 != BUFFER_FULL {
        return;
    }
    let socket = SocketPtr::at(arguments.get(1));
    let key = SocketDropKey {
        cgroup: owner::cgroup(socket),
        local: socket.local_address(),
        netns: socket.netns().inode(),
        generation: count::generation(Counted::SocketDrops),
        port: socket.local_port(),
        ip_version: socket.ip_version(),
        reserved: [0; 5],
    };
    match count::entry(&SOCKET_DROPS, &key, &0) {
        // SAFETY: an entry stays where it is until the generation after next.
        Some(datagrams) => unsafe { count::add(datagrams, 1) },
        None => count::uncounted(Counted::SocketDrops),
    }
}
