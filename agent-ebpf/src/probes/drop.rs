//! Hook `skb:kfree_skb`: each packet that the kernel drops. Kernel 5.10 and later; reasons since 5.17. Some 25 reads
//! and one map update a drop, two reads for a reason that is ignored; runs in softirq more often than not, so the
//! current task is never asked. Counts in `DROPS`.

use aya_ebpf::{
    macros::{btf_tracepoint, raw_tracepoint, tracepoint},
    programs::{BtfTracePointContext, RawTracePointContext, TracePointContext},
};
use inquest_agent_abi::{Counted, DropCount, DropKey, DropLayout, Meter};

use crate::{
    count,
    kernel_read::{Arguments, PacketPtr, SocketPtr, TracepointFields, layout},
    maps::{DROPS, LAYOUT},
    meter::metered,
    owner,
};

const METER: Meter = Meter::KFREE_SKB;

#[btf_tracepoint(function = "kfree_skb")]
pub(crate) fn drop_tp_btf(ctx: BtfTracePointContext) -> i32 {
    metered(METER, || try_drop(Arguments::of(&ctx)));
    0
}

#[raw_tracepoint(tracepoint = "kfree_skb")]
pub(crate) fn drop_raw_tp(ctx: RawTracePointContext) -> i32 {
    metered(METER, || try_drop(Arguments::of(&ctx)));
    0
}

/// Not told the receiving socket.
#[tracepoint(category = "skb", name = "kfree_skb")]
pub(crate) fn drop_tracepoint(ctx: TracePointContext) -> u32 {
    metered(METER, || try_fields(TracepointFields::of(&ctx)));
    0
}

/// What the tracepoint tells.
struct Drop {
    packet: PacketPtr,
    location: u64,
    reason: u32,
    receiver: SocketPtr,
}

#[inline(always)]
fn try_fields(fields: TracepointFields) {
    let reason = if layout(&LAYOUT.tracepoint.kfree_skb_reason).get().is_some() {
        fields.get(&LAYOUT.tracepoint.kfree_skb_reason)
    } else {
        DropKey::NO_REASON
    };
    if is_ignored(reason) {
        return;
    }
    count_drop(&Drop {
        packet: PacketPtr::at(fields.get(&LAYOUT.tracepoint.kfree_skb_packet)),
        location: fields.get(&LAYOUT.tracepoint.kfree_skb_location),
        reason,
        receiver: SocketPtr::at(0),
    });
}

#[inline(always)]
fn try_drop(arguments: Arguments) {
    let reason = if layout(&LAYOUT.drop.has_reason) == 1 {
        arguments.get(2) as u32
    } else {
        DropKey::NO_REASON
    };
    if is_ignored(reason) {
        return;
    }
    let receiver = if layout(&LAYOUT.drop.has_socket) == 1 {
        arguments.get(3)
    } else {
        0
    };
    count_drop(&Drop {
        packet: PacketPtr::at(arguments.get(0)),
        location: arguments.get(1),
        reason,
        receiver: SocketPtr::at(receiver),
    });
}

/// A bit for each reason of the core; those of a subsystem, in whose high half its number is, are all kept.
#[inline(always)]
fn is_ignored(reason: u32) -> bool {
    if reason >= DropLayout::IGNORED_WORDS as u32 * 32 {
        return false;
    }
    let mut word = 0;
    // Not indexed: each word is a constant to the verifier.
    for (index, bits) in LAYOUT.drop.ignored.iter().enumerate() {
        if reason / 32 == index as u32 {
            word = layout(bits);
        }
    }
    word >> (reason % 32) & 1 == 1
}

#[inline(always)]
fn count_drop(drop: &Drop) {
    let socket = if drop.receiver.is_null() {
        drop.packet.socket()
    } else {
        drop.receiver
    };
    let device = drop.packet.device();
    let mut key = DropKey {
        cgroup: owner::cgroup(socket),
        location: drop.location,
        source: [0; 16],
        destination: [0; 16],
        netns: drop.packet.netns(socket),
        reason: drop.reason,
        interface: device.index(),
        destination_port: 0,
        protocol: 0,
        ip_version: 0,
        generation: count::generation(Counted::Drops),
        reserved: 0,
    };
    let mut source_port = 0;
    if let Some(ip) = drop.packet.ip() {
        key.ip_version = ip.version();
        key.protocol = ip.protocol();
        key.source = ip.source();
        key.destination = ip.destination();
        (source_port, key.destination_port) = ip.ports();
    } else if drop.reason == DropKey::NO_REASON {
        // Without reasons this hook also fires for what merely ends, such as the messages of unix sockets.
        return;
    }
    let zero = DropCount {
        interface: device.name(),
        source_port,
        ..DropCount::default()
    };
    let Some(counted) = count::entry(&DROPS, &key, &zero) else {
        count::uncounted(Counted::Drops);
        return;
    };
    // SAFETY: an entry stays where it is until the generation after next.
    unsafe {
        count::add(&raw mut (*counted).packets, 1);
        count::add(&raw mut (*counted).bytes, u64::from(drop.packet.len()));
    }
}
