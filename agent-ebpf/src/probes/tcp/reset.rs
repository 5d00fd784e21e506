//! Hooks `tcp:tcp_send_reset` and `tcp:tcp_receive_reset`: each RST. Kernel 5.10 and later; the reason to send one since
//! 6.10, which also tells those for which there is no socket. Some 15 reads and a map update. Runs in interrupts. Counts
//! in `FLOWS`.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{Counted, FlowCounts, FlowKey, Meter};

use super::{add, count_flow, flow};
use crate::{
    count,
    kernel_read::{Arguments, PacketPtr, SocketPtr, TracepointFields, layout, tcp_state},
    maps::{LAYOUT, SOCKET_OWNERS},
    meter::metered,
    owner,
};

const SENT: Meter = Meter::TCP_SEND_RESET;
const RECEIVED: Meter = Meter::TCP_RECEIVE_RESET;

#[btf_tracepoint(function = "tcp_send_reset")]
pub(crate) fn tcp_reset_sent_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(SENT, || try_sent(Arguments::of(&ctx)));
    0
}

#[raw_tracepoint(tracepoint = "tcp_send_reset")]
pub(crate) fn tcp_reset_sent_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(SENT, || try_sent(Arguments::of(&ctx)));
    0
}

#[tracepoint(category = "tcp", name = "tcp_send_reset")]
pub(crate) fn tcp_reset_sent_tracepoint(ctx: TracePointContext) -> u32 {
    metered(SENT, || try_fields(TracepointFields::of(&ctx)));
    0
}

#[inline(always)]
fn try_fields(fields: TracepointFields) {
    let reason = &LAYOUT.tracepoint.tcp_send_reset_reason;
    sent(
        SocketPtr::at(fields.get(&LAYOUT.tracepoint.tcp_send_reset_socket)),
        PacketPtr::at(fields.get(&LAYOUT.tracepoint.tcp_send_reset_packet)),
        if layout(reason).get().is_some() {
            fields.get(reason)
        } else {
            FlowCounts::NO_REASON
        },
    );
}

#[btf_tracepoint(function = "tcp_receive_reset")]
pub(crate) fn tcp_reset_received_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(RECEIVED, || {
        received(SocketPtr::at(Arguments::of(&ctx).get(0)));
    });
    0
}

#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
pub(crate) fn tcp_reset_received_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(RECEIVED, || {
        received(SocketPtr::at(Arguments::of(&ctx).get(0)));
    });
    0
}

#[tracepoint(category = "tcp", name = "tcp_receive_reset")]
pub(crate) fn tcp_reset_received_tracepoint(ctx: TracePointContext) -> u32 {
    let fields = TracepointFields::of(&ctx);
    metered(RECEIVED, || {
        let socket = fields.get(&LAYOUT.tracepoint.tcp_receive_reset_socket);
        received(SocketPtr::at(socket));
    });
    0
}

#[inline(always)]
fn try_sent(arguments: Arguments) {
    let reason = if layout(&LAYOUT.tcp.reset_has_reason) == 1 {
        arguments.get(2) as u32
    } else {
        FlowCounts::NO_REASON
    };
    sent(
        SocketPtr::at(arguments.get(0)),
        PacketPtr::at(arguments.get(1)),
        reason,
    );
}

#[inline(always)]
fn sent(socket: SocketPtr, packet: PacketPtr, reason: u32) {
    let is_connection = socket.is_whole() && socket.state() != tcp_state::LISTEN;
    let key = if is_connection {
        let key = flow(socket, &owner::of_connection(socket));
        if socket.state() == tcp_state::CLOSE {
            // The last that is heard of it.
            let _removed = SOCKET_OWNERS.remove(&socket.address());
        }
        key
    } else {
        let Some(key) = asked_for(socket, packet) else {
            return;
        };
        key
    };
    count_flow(&key, 0, |counts| {
        add!(counts, resets_sent, 1);
        // SAFETY: an entry stays where it is; of two reasons at once, either is the last.
        unsafe { (*counts).reset_reason = reason };
    });
}

/// Returns what the peer that sent `packet` asked for, where no connection is: the port may be a listener's, or nobody's.
#[inline(always)]
fn asked_for(socket: SocketPtr, packet: PacketPtr) -> Option<FlowKey> {
    let ip = packet.ip()?;
    let (_, port) = ip.ports();
    Some(FlowKey {
        cgroup: owner::cgroup(socket),
        peer: ip.source(),
        netns: packet.netns(socket),
        generation: count::generation(Counted::Flows),
        port,
        ip_version: ip.version(),
        direction: FlowKey::IN,
        reserved: 0,
    })
}

#[inline(always)]
fn received(socket: SocketPtr) {
    if !socket.is_whole() {
        return;
    }
    let owner = owner::of_connection(socket);
    count_flow(&flow(socket, &owner), 0, |counts| {
        add!(counts, resets_received, 1);
    });
}
