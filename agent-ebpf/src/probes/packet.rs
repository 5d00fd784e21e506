//! Hooks `net:net_dev_queue` and `net:netif_receive_skb`: DNS messages and ICMP errors among the packets that leave a socket
//! and those that arrive at a device. Kernel 5.10 and later. The first runs for each packet that this node sends, the second
//! for each that it receives: by `tp_btf` both end after two loads and at most one call unless it is of UDP or ICMP.

use aya_ebpf::{
    EbpfContext,
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::Meter;

use super::{dns, icmp};
use crate::{
    kernel_read::{Arguments, PacketPtr, TaskPtr, TracepointFields, TypedPacket, protocol},
    maps::LAYOUT,
    meter::metered,
};

const SENT: Meter = Meter::NET_DEV_QUEUE;
const RECEIVED: Meter = Meter::NETIF_RECEIVE_SKB;

#[btf_tracepoint(function = "net_dev_queue")]
pub(crate) fn packet_sent_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(SENT, || {
        let packet = TypedPacket::argument(&ctx);
        match packet.sender_protocol() {
            protocol::UDP => dns::sent(packet.untyped(), running(&ctx)),
            protocol::ICMP | protocol::ICMPV6 => icmp::sent(packet.untyped()),
            _ => {}
        }
    });
    0
}

#[raw_tracepoint(tracepoint = "net_dev_queue")]
pub(crate) fn packet_sent_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(SENT, || {
        let packet = PacketPtr::at(Arguments::of(&ctx).get(0));
        sent(packet, running(&ctx));
    });
    0
}

/// Its record is not on a task's stack, so nobody is known to send.
#[tracepoint(category = "net", name = "net_dev_queue")]
pub(crate) fn packet_sent_tracepoint(ctx: TracePointContext) -> u32 {
    metered(SENT, || {
        let packet = TracepointFields::of(&ctx).get(&LAYOUT.tracepoint.net_dev_queue_packet);
        sent(PacketPtr::at(packet), None);
    });
    0
}

#[btf_tracepoint(function = "netif_receive_skb")]
pub(crate) fn packet_received_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(RECEIVED, || {
        let packet = TypedPacket::argument(&ctx);
        match packet.arriving_protocol() {
            protocol::UDP => dns::received(packet.untyped()),
            protocol::ICMP | protocol::ICMPV6 => icmp::received(packet.untyped()),
            _ => {}
        }
    });
    0
}

#[raw_tracepoint(tracepoint = "netif_receive_skb")]
pub(crate) fn packet_received_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(RECEIVED, || {
        received(PacketPtr::at(Arguments::of(&ctx).get(0)));
    });
    0
}

#[tracepoint(category = "net", name = "netif_receive_skb")]
pub(crate) fn packet_received_tracepoint(ctx: TracePointContext) -> u32 {
    metered(RECEIVED, || {
        let fields = TracepointFields::of(&ctx);
        received(PacketPtr::at(
            fields.get(&LAYOUT.tracepoint.netif_receive_skb_packet),
        ));
    });
    0
}

/// Returns the task that runs the program of `ctx`, `None` in an interrupt.
#[inline(always)]
fn running(ctx: &impl EbpfContext) -> Option<TaskPtr> {
    let task = TaskPtr::current();
    task.has_on_stack(ctx.as_ptr().cast()).then_some(task)
}

/// What is forwarded has no socket, and so is of no protocol here.
#[inline(always)]
fn sent(packet: PacketPtr, task: Option<TaskPtr>) {
    match packet.socket().protocol() {
        protocol::UDP => dns::sent(packet, task),
        protocol::ICMP | protocol::ICMPV6 => icmp::sent(packet),
        _ => {}
    }
}

#[inline(always)]
fn received(packet: PacketPtr) {
    let Some(ip) = packet.arriving_ip() else {
        return;
    };
    match u16::from(ip.protocol()) {
        protocol::UDP => dns::received(packet),
        protocol::ICMP | protocol::ICMPV6 => icmp::received(packet),
        _ => {}
    }
}
