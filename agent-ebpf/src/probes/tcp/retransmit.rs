//! Hook `tcp:tcp_retransmit_skb`: each segment that is sent again, the first of a connection told apart. Kernel 5.10 and
//! later. Some 15 reads and a map update. Runs in interrupts. Counts in `FLOWS`.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::Meter;

use super::{add, count_flow, flow};
use crate::{
    kernel_read::{Arguments, SocketPtr, TracepointFields, tcp_state},
    maps::{LAYOUT, SOCKET_OWNERS},
    meter::metered,
    owner,
};

const METER: Meter = Meter::TCP_RETRANSMIT_SKB;

#[btf_tracepoint(function = "tcp_retransmit_skb")]
pub(crate) fn tcp_retransmit_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(METER, || {
        sent_again(SocketPtr::at(Arguments::of(&ctx).get(0)));
    });
    0
}

#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
pub(crate) fn tcp_retransmit_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(METER, || {
        sent_again(SocketPtr::at(Arguments::of(&ctx).get(0)));
    });
    0
}

#[tracepoint(category = "tcp", name = "tcp_retransmit_skb")]
pub(crate) fn tcp_retransmit_tracepoint(ctx: TracePointContext) -> u32 {
    let fields = TracepointFields::of(&ctx);
    metered(METER, || {
        let socket = fields.get(&LAYOUT.tracepoint.tcp_retransmit_skb_socket);
        sent_again(SocketPtr::at(socket));
    });
    0
}

#[inline(always)]
fn sent_again(socket: SocketPtr) {
    if !socket.is_whole() {
        return;
    }
    let is_syn = socket.state() == tcp_state::SYN_SENT;
    if is_syn && let Some(owner) = SOCKET_OWNERS.get_ptr_mut(&socket.address()) {
        // SAFETY: the socket is locked, so nobody else counts for it.
        unsafe { (*owner).syn_retransmits += 1 };
    }
    let owner = owner::of_connection(socket);
    count_flow(&flow(socket, &owner), 0, |counts| {
        if is_syn {
            add!(counts, syn_retransmits, 1);
        } else {
            add!(counts, retransmits, 1);
        }
    });
}
